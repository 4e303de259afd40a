{{ config(materialized='ephemeral') }}

with

source as (

    select * from {{ source('elus', 'conseillers_departementaux') }}

),

-- One text for each notion, whichever layout carries it.
given as (

    select
        coalesce(
            {{ clean_text('code_du_departement') }},
            {{ clean_text('code_departement') }}
        ) as given_departement_code,
        coalesce(
            {{ clean_text('libelle_du_departement') }},
            {{ clean_text('libelle_departement') }}
        ) as departement_name,
        coalesce({{ clean_text('code_du_canton') }}, {{ clean_text('code_canton') }}) as given_district_code,
        coalesce({{ clean_text('libelle_du_canton') }}, {{ clean_text('libelle_canton') }}) as district_name,
        coalesce({{ clean_text('nom_de_l_elu') }}, {{ clean_text('nom_elu') }}) as last_name,
        coalesce({{ clean_text('prenom_de_l_elu') }}, {{ clean_text('prenom_elu') }}) as first_name,
        coalesce({{ clean_text('code_sexe') }}, {{ clean_text('sexe_elu') }}) as given_sex,
        coalesce({{ clean_text('date_de_naissance') }}, {{ clean_text('date_naissance_elu') }}) as given_birth_date,
        coalesce(
            {{ clean_text('code_profession') }},
            {{ clean_text('code_de_la_categorie_socio_professionnelle') }},
            {{ clean_text('code_categorie_socio_professionnelle') }}
        ) as occupation_code,
        coalesce(
            {{ clean_text('libelle_de_la_profession') }},
            {{ clean_text('libelle_de_la_categorie_socio_professionnelle') }},
            {{ clean_text('libelle_categorie_socio_professionnelle') }}
        ) as occupation_name,
        {{ clean_text('code_nuance_mandat') }} as political_label_code,
        {{ clean_text('libelle_nuance_mandat') }} as political_label_name,
        coalesce(
            {{ clean_text('date_de_debut_du_mandat') }},
            {{ clean_text('date_debut_mandat') }}
        ) as given_mandate_start_date,
        coalesce(
            {{ clean_text('libelle_de_fonction') }},
            {{ clean_text('libelle_de_la_fonction') }},
            {{ clean_text('libelle_fonction') }}
        ) as function_label,
        coalesce(
            {{ clean_text('date_de_debut_de_la_fonction') }},
            {{ clean_text('date_debut_fonction') }}
        ) as given_function_start_date,
        {{ clean_text('date_de_fin_de_la_fonction') }} as given_function_end_date,
        {{ lineage() }},
        _replaced_on
    from source

),

-- Files are compared as they read once they are made one: a new layout alone is no change.
told as (

    {{ typed_mandates('given') }}

)

select * from told
