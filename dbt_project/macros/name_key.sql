{#- A name's key: letters and digits only, so that `SDE 32`, `sde32` and `Sdé-32` are one body; NULL without any. -#}
{% macro name_key(column) -%}
    nullif(regexp_replace(lower(strip_accents({{ column }})), '[^a-z0-9]', '', 'g'), '')
{%- endmacro %}
