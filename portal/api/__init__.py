"""The ground of the API: who asks (tokens), errors, pages, its description. It knows no app's addresses."""
