{{ config(materialized='ephemeral') }}

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

-- Files are compared as they read once they are made one: a new layout alone is no change.
told as (

    {{ typed_mandates('given') }}

)

select * from told
