{#- What the register of elected officials needs and no other domain does. -#}

{#-
    Code of a canton or constituency, whole: the departement's code, then two digits. Until 2020 it stood without its
    departement, whose codes overseas were the Ministry's own (ZA for 971); in 2024 it lost its leading zero.
-#}
{% macro electoral_district_code(departement_code, district_code) -%}
    case
        when length({{ district_code }}) > 3 then {{ district_code }}
        when length({{ district_code }}) = 3 then '0' || {{ district_code }}
        else
            case {{ departement_code }}
                {%- for given, insee in {
                    'ZA': '971', 'ZB': '972', 'ZC': '973', 'ZD': '974', 'ZM': '976', 'ZS': '975', 'ZX': '977',
                    'ZW': '986', 'ZP': '987', 'ZN': '988'
                }.items() %}
                when '{{ given }}' then '{{ insee }}'
                {%- endfor %}
                else lpad({{ departement_code }}, greatest(length({{ departement_code }}), 2)::integer, '0')
            end || lpad({{ district_code }}, 2, '0')
    end
{%- endmacro %}

{#- Key of a name: family name and first name without case, accents and marks, with the day of birth. -#}
{% macro official_name_key() -%}
    case
        when {{ name_key('last_name') }} is not null
            then
                md5(
                    concat_ws(
                        '|',
                        {{ name_key('last_name') }},
                        coalesce({{ name_key('first_name') }}, ''),
                        coalesce(birth_date::varchar, '')
                    )
                )
    end
{%- endmacro %}

{#- What every version of a file says of mandates, in the same words for all offices. -#}
{% macro mandate_columns() -%}
    last_name,
        first_name,
        sex,
        birth_date,
        departement_code,
        departement_name,
        district_code,
        district_name,
        occupation_code,
        occupation_name,
        political_label_code,
        political_label_name,
        mandate_start_date,
        function_label,
        function_start_date,
        function_end_date,
        _invalid_columns
{%- endmacro %}

{#- The rows of a file in the common words and types; `given` has one text for each notion, and lineage. -#}
{% macro typed_mandates(given) -%}
    select
        last_name,
        first_name,
        case when given_sex in ('F', 'M') then given_sex end as sex,
        fr_date(given_birth_date) as birth_date,
        {{ departement_code_of_commune('district_code') }} as departement_code,
        departement_name,
        district_code,
        district_name,
        occupation_code,
        occupation_name,
        political_label_code,
        political_label_name,
        fr_date(given_mandate_start_date) as mandate_start_date,
        function_label,
        fr_date(given_function_start_date) as function_start_date,
        fr_date(given_function_end_date) as function_end_date,
        {{ invalid_columns({
            'sex': 'given_sex',
            'birth_date': 'given_birth_date',
            'mandate_start_date': 'given_mandate_start_date',
            'function_start_date': 'given_function_start_date',
            'function_end_date': 'given_function_end_date',
        }) }} as _invalid_columns,
        {{ lineage() }},
        _replaced_on
    from (
        select
            *,
            {{ electoral_district_code('given_departement_code', 'given_district_code') }} as district_code
        from {{ given }}
    ) as located
{%- endmacro %}

{#- Every row of the history of both files: who, where, since when, and what the register said of it. -#}
{% macro told_mandates() -%}
    {% for office, table in {'conseiller_departemental': 'conseillers_departementaux', 'depute': 'deputes'}.items() -%}
    select
        '{{ office }}' as office,
        {{ official_name_key() }} as official_name_key,
        {{ mandate_columns() }},
        valid_from,
        valid_to,
        is_current
    from {{ ref('stg_elus__' ~ table ~ '__history') }}
    where {{ official_name_key() }} is not null
    {{ "union all" if not loop.last }}
    {% endfor %}
{%- endmacro %}

{#- The kind of a function, of the words the register has for it over the years. -#}
{% macro function_kind(label) -%}
    case
        when {{ label }} is null then null
        when regexp_matches(lower({{ label }}), '^pr[ée]sident du conseil|^pr[ée]sident de la coll') then 'president'
        when regexp_matches(lower({{ label }}), 'vice[- ]?pr[ée]sident') then 'vice_president'
        when regexp_matches(lower({{ label }}), 'commission|bureau|groupe') then 'commission'
        else 'other'
    end
{%- endmacro %}
