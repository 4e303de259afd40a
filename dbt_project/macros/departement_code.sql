{#- The departement's code at the head of a commune's INSEE code: three characters overseas. -#}
{% macro departement_code_of_commune(commune_code) -%}
    left({{ commune_code }}, case when left({{ commune_code }}, 2) in ('97', '98') then 3 else 2 end)
{%- endmacro %}

{#- The departement's code a postal code points to; Corsica's two share the prefix 20. -#}
{% macro departement_code_of_postal_code(postal_code) -%}
    case
        when left({{ postal_code }}, 3) in ('200', '201') then '2A'
        when left({{ postal_code }}, 2) = '20' then '2B'
        when left({{ postal_code }}, 2) in ('97', '98') then left({{ postal_code }}, 3)
        else left({{ postal_code }}, 2)
    end
{%- endmacro %}
