{#- What the SYNOP files need and no other domain does. Each takes a column's text, `mq` being a missing measure. -#}

{#- Text as given; NULL where the measure is missing. -#}
{% macro synop_text(column) -%}
    nullif({{ clean_text(column) }}, 'mq')
{%- endmacro %}

{#- Kelvins as degrees Celsius, exact to the hundredth. -#}
{% macro celsius(text) -%}
    try_cast(try_cast({{ text }} as decimal(9, 2)) - 273.15 as decimal(5, 2))
{%- endmacro %}

{#- Pascals as hectopascals, exact to the hundredth. -#}
{% macro hectopascals(text) -%}
    try_cast(try_cast({{ text }} as decimal(9, 2)) * 0.01 as decimal(7, 2))
{%- endmacro %}

{#- A depth or a rain that left a trace, too small to measure, is written as its negative smallest step: none here. -#}
{% macro not_below_zero(text, digits) -%}
    {%- set measure = "try_cast(" ~ text ~ " as decimal(9, " ~ digits ~ "))" -%}
    case when {{ measure }} < 0 then 0 else {{ measure }} end::decimal(9, {{ digits }})
{%- endmacro %}

{#- The columns whose text is negative, which tells a trace, comma separated; NULL when none is. -#}
{% macro traces(typed_from) -%}
    nullif(
        concat_ws(
            ',',
            {%- for typed, text in typed_from.items() %}
            case when {{ typed }} = 0 and {{ text }} like '-%' then '{{ typed }}' end
            {{- "," if not loop.last }}
            {%- endfor %}
        ),
        ''
    )
{%- endmacro %}
