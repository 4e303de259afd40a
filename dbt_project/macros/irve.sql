{#- What the charging-point files need and no other domain does. -#}

{#- Text as given, without padding; NULL for the words these files write where there is no value. -#}
{% macro irve_text(column) -%}
    case
        when
            lower({{ clean_text(column) }}) not in (
                '-', 'null', 'none', 'nan', 'n/a', 'non concerné', 'non concerne', 'inconnu', 'inconnue', 'sans objet',
                'err :509'
            )
            then {{ clean_text(column) }}
    end
{%- endmacro %}

{#-
    An eMI3 identifier in its compact form: `FR*S24*E24037*1` and `FRS24E240371` are the same point. Its shape is the
    schema's own (etalab/schema-irve-statique, id_pdc_itinerance), with a digit so that words (`NEANT`, `Non concernée`)
    are not taken for one. Before that schema the column held any name, so only French identifiers are believed there.
-#}
{% macro itinerance_id(text) -%}
    {%- set compact = "regexp_replace(upper(" ~ text ~ "), '[^A-Z0-9]', '', 'g')" -%}
    case
        when
            regexp_full_match({{ compact }}, '[A-Z]{2}[A-Z0-9]{4,33}')
            and regexp_matches({{ compact }}, '[0-9]')
            and (schema_version = '2021' or {{ compact }} like 'FR%')
            then {{ compact }}
    end
{%- endmacro %}

{#-
    A day, year first or day first, with `-` or `/`, whatever time follows. The shape is looked at first because
    %Y also reads two digits (10/10/14 as the year 10). 1970-01-01 is an empty date that went through a computer, and
    no point is older than the last century.
-#}
{% macro irve_date(text) -%}
    {%- set day -%}
        replace(regexp_replace({{ text }}, '[T ]\d{1,2}:\d{2}.*$', ''), '/', '-')
    {%- endset -%}
    nullif(
        case
            when regexp_full_match({{ day }}, '(19|20)\d{2}-\d{1,2}-\d{1,2}') then try_strptime({{ day }}, '%Y-%m-%d')
            when regexp_full_match({{ day }}, '\d{1,2}-\d{1,2}-(19|20)\d{2}') then try_strptime({{ day }}, '%d-%m-%Y')
            when regexp_full_match({{ day }}, '\d{1,2}-\d{1,2}-\d{2}') then try_strptime({{ day }}, '%d-%m-%y')
        end::date,
        date '1970-01-01'
    )
{%- endmacro %}

{#- True or false in the ways the files say it. -#}
{% macro irve_boolean(text) -%}
    case
        when lower({{ text }}) in ('true', 'vrai', 'oui', '1', '1.0') then true
        when lower({{ text }}) in ('false', 'faux', 'non', '0', '0.0') then false
    end
{%- endmacro %}

{#-
    Power in kW. Some producers fill it in watts: over 1,000 no point of these files is in kW.
    0, and more than 1,000 kW once converted, are not powers.
-#}
{% macro irve_power_kw(text) -%}
    {%- set number -%}
        try_cast(
            replace(regexp_extract({{ text }}, '^(\d+([.,]\d+)?) ?(kw|kva|w)?$', 1, 'i'), ',', '.') as decimal(12, 3)
        )
    {%- endset -%}
    case
        when {{ number }} > 0 and {{ number }} <= 1000 and not regexp_matches({{ text }}, '\d ?w$', 'i')
            then {{ number }}
        when {{ number }} > 0 and {{ number }} <= 1000000 then {{ number }} / 1000
    end::decimal(8, 3)
{%- endmacro %}

{#- Whether a power lies between the bounds of a row of `power_classes`; each bound says if it belongs. -#}
{% macro is_in_power_class(power_kw, power_classes) -%}
    (
        {{ power_kw }} > {{ power_classes }}.min_power_kw
        or ({{ power_kw }} = {{ power_classes }}.min_power_kw and {{ power_classes }}.is_min_included)
    )
    and (
        {{ power_kw }} < {{ power_classes }}.max_power_kw
        or ({{ power_kw }} = {{ power_classes }}.max_power_kw and {{ power_classes }}.is_max_included)
    )
{%- endmacro %}
