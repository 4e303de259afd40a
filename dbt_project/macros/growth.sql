{#- Growth against the period before, as a ratio (0.05 is +5 %); NULL when there was none or nothing to grow from. -#}
{% macro growth(current, previous) -%}
    round(({{ current }} - {{ previous }}) / nullif({{ previous }}, 0)::double, 6)
{%- endmacro %}
