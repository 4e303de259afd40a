{#- French files pad with no-break spaces (U+00A0, U+202F) and say "not given" in several ways. -#}

{#- Text without outer spaces, no-break ones included; NULL when nothing is left. -#}
{% macro clean_text(column) -%}
    nullif(trim(translate({{ column }}, chr(160) || chr(8239), '  ')), '')
{%- endmacro %}

{#- clean_text, with the publishers' marks of absence (-1, N/A) as NULL too. -#}
{% macro given(column) -%}
    nullif(nullif({{ clean_text(column) }}, '-1'), 'N/A')
{%- endmacro %}

{#- A code as text: `2.0` (written by pandas) and `07` (padded) are the `2` and `7` of the code list. -#}
{% macro code(column) -%}
    regexp_replace({{ given(column) }}, '^0*([0-9]+)(\.0+)?$', '\1')
{%- endmacro %}

{#- An identifier as text: grouped digits (`155 680 557`) joined, a float's tail dropped, zeros kept. -#}
{% macro identifier(column) -%}
    regexp_replace(nullif(translate({{ column }}, ' ' || chr(160) || chr(8239), ''), ''), '^([0-9]+)\.0+$', '\1')
{%- endmacro %}

{#- The text of a number, ready for try_cast: `1 234,50` is `1234.50`. -#}
{% macro french_number(column) -%}
    nullif(replace(translate({{ column }}, ' ' || chr(160) || chr(8239), ''), ',', '.'), '')
{%- endmacro %}

{#- A code with its leading zeros back, at least `width` characters; a longer one is left whole. -#}
{% macro zero_padded(text, width) -%}
    lpad({{ text }}, greatest(length({{ text }}), {{ width }})::integer, '0')
{%- endmacro %}

{#- The number a text tells; `inf` and `nan`, which try_cast takes, are no measures. -#}
{% macro finite_number(text) -%}
    case when isfinite(try_cast({{ text }} as double)) then try_cast({{ text }} as double) end
{%- endmacro %}
