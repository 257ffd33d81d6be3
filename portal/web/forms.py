from django.forms.renderers import TemplatesSetting


class Renderer(TemplatesSetting):
    """The one form style: `{{ form }}` and `{{ form.name.as_field_group }}` use our templates, every app's forms do."""

    form_template_name = "components/form.html"
    field_template_name = "components/field.html"
