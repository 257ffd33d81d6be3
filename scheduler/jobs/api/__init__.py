"""Jobs for programs: what a form and a page do, by the same forms, services and selectors."""
