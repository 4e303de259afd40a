{#- What every accident mart counts. -#}
{% macro accident_measures() %}
    {{ return([
        'accident_count', 'fatal_accident_count', 'vehicle_count', 'person_count',
        'killed_count', 'hospitalised_count', 'slightly_injured_count', 'unharmed_count', 'casualty_count',
    ]) }}
{% endmacro %}

{#- Their sums over the rows of a group; bigint, for a sum of bigint is a type that Iceberg does not have. -#}
{% macro sum_accident_measures() -%}
    {% for measure in accident_measures() -%}
    coalesce(sum({{ measure }}), 0)::bigint as {{ measure }}{{ "," if not loop.last }}
        {% endfor %}
{%- endmacro %}

{#- The measures of a joined relation, zero where the join found none. -#}
{% macro select_accident_measures(relation) -%}
    {% for measure in accident_measures() -%}
    coalesce({{ relation }}.{{ measure }}, 0)::bigint as {{ measure }}{{ "," if not loop.last }}
        {% endfor %}
{%- endmacro %}
