with

source as (

    select * from {{ source('elus', 'deputes') }}

),

-- One text for each notion, whichever layout carries it.
given as (

    select
        coalesce(
            {{ clean_text('code_du_departement') }},
            {{ clean_text('code_de_la_collectivite_a_statut_particulier') }}
        ) as given_departement_code,
        coalesce(
            {{ clean_text('libelle_du_departement') }},
            {{ clean_text('libelle_de_la_collectivite_a_statut_particulier') }}
        ) as departement_name,
        {{ clean_text('code_de_la_circonscription_legislative') }} as given_district_code,
        {{ clean_text('libelle_de_la_circonscription_legislative') }} as district_name,
        {{ clean_text('nom_de_l_elu') }} as last_name,
        {{ clean_text('prenom_de_l_elu') }} as first_name,
        {{ clean_text('code_sexe') }} as given_sex,
        {{ clean_text('date_de_naissance') }} as given_birth_date,
        {{ clean_text('code_de_la_categorie_socio_professionnelle') }} as occupation_code,
        {{ clean_text('libelle_de_la_categorie_socio_professionnelle') }} as occupation_name,
        null::varchar as political_label_code,
        null::varchar as political_label_name,
        {{ clean_text('date_de_debut_du_mandat') }} as given_mandate_start_date,
        null::varchar as function_label,
        null::varchar as given_function_start_date,
        null::varchar as given_function_end_date,
        {{ lineage() }},
        _replaced_on
    from source

),

typed as (

    select
        *,
        {{ electoral_district_code('given_departement_code', 'given_district_code') }} as district_code,
        case when given_sex in ('F', 'M') then given_sex end as sex,
        fr_date(given_birth_date) as birth_date,
        fr_date(given_mandate_start_date) as mandate_start_date,
        fr_date(given_function_start_date) as function_start_date,
        fr_date(given_function_end_date) as function_end_date
    from given

),

-- Files are compared as they read once they are made one: a new layout alone is no change.
told as (

    select
        last_name,
        first_name,
        sex,
        birth_date,
        {{ departement_code_of_commune('district_code') }} as departement_code,
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
        {{ invalid_columns({
            'sex': 'given_sex',
            'birth_date': 'given_birth_date',
            'mandate_start_date': 'given_mandate_start_date',
            'function_start_date': 'given_function_start_date',
            'function_end_date': 'given_function_end_date',
        }) }} as _invalid_columns,
        {{ lineage() }},
        _replaced_on
    from typed

),

history as (

    {{ history_rows('told') }}

),

final as (

    select
        {{ mandate_columns() }},
        valid_from,
        valid_to,
        is_current,
        {{ lineage() }}
    from history

)

select * from final
order by district_code, last_name, first_name, valid_from
