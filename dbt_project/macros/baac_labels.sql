{#- Joins that give each coded column its label: `{base}_code` of the relation gains `{base}_codes.label`. -#}
{% macro join_baac_labels(relation, attributes) -%}
    {% for base, attribute in attributes.items() -%}
    left join {{ ref('baac_codes') }} as {{ base }}_codes
        on
            {{ base }}_codes.attribute = '{{ attribute }}'
            and {{ relation }}.{{ base }}_code = {{ base }}_codes.code
    {% endfor %}
{%- endmacro %}

{#- The code and the label of each, in order. -#}
{% macro select_baac_labels(relation, attributes) -%}
    {% for base in attributes -%}
    {{ relation }}.{{ base }}_code,
        {{ base }}_codes.label as {{ base }}_label{{ "," if not loop.last }}
        {% endfor %}
{%- endmacro %}

{#- Key of a vehicle, the same in the vehicles' and the persons' files of every year. -#}
{% macro vehicle_key() -%}
    accident_id || '-' || coalesce(vehicle_number, vehicle_id)
{%- endmacro %}
