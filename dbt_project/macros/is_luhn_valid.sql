{#- Whether a code of `length` digits (9 for a SIREN, 14 for a SIRET) carries the right Luhn check digit. -#}
{% macro is_luhn_valid(column, length=9) -%}
    (
        {%- for position in range(1, length + 1) %}
        {%- set digit = "substr(" ~ column ~ ", " ~ position ~ ", 1)::integer" %}
        {%- if (length - position) % 2 == 0 %}
        {{ digit }}
        {%- else %}
        {{ digit }} * 2 % 10 + {{ digit }} // 5
        {%- endif %}
        {{- " +" if not loop.last }}
        {%- endfor %}
    ) % 10 = 0
{%- endmacro %}
