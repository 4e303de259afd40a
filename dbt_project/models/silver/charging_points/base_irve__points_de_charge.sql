{{ config(materialized='ephemeral') }}

with

source as (

    select * from {{ source('irve', 'points_de_charge') }}

),

-- One text for each notion, whichever of the three schemas carries it.
given as (

    select
        case
            when id_pdc_itinerance is not null then '2021'
            when id_pdc is not null then '2018'
            else '2014'
        end as schema_version,
        coalesce({{ irve_text('id_pdc_itinerance') }}, {{ irve_text('id_pdc') }}) as given_itinerance_id,
        {{ irve_text('id_pdc_local') }} as charging_point_local_id,
        {{ irve_text('coalesce(id_station_itinerance, id_station)') }} as given_station_id,
        {{ irve_text('id_station_local') }} as given_station_local_id,
        {{ irve_text('coalesce(nom_station, n_station)') }} as station_name,
        {{ irve_text('coalesce(adresse_station, ad_station)') }} as address,
        {{ irve_text('coalesce(code_insee_commune, code_insee)') }} as given_commune_code,
        {{ irve_text('coordonneesxy') }} as given_pair,
        {{ irve_text('coalesce(xlongitude, longitude)') }} as given_longitude,
        {{ irve_text('coalesce(ylatitude, latitude)') }} as given_latitude,
        {{ irve_text('implantation_station') }} as siting,
        {{ irve_text('coalesce(nom_amenageur, n_amenageur)') }} as amenageur_name,
        {{ irve_text('siren_amenageur') }} as given_amenageur_siren,
        {{ irve_text('contact_amenageur') }} as amenageur_contact,
        {{ irve_text('coalesce(nom_operateur, n_operateur, nom_porteur)') }} as operator_name,
        {{ irve_text('contact_operateur') }} as operator_contact,
        {{ irve_text('telephone_operateur') }} as operator_phone,
        {{ irve_text('coalesce(nom_enseigne, n_enseigne)') }} as enseigne_name,
        {{ irve_text('nbre_pdc') }} as given_station_point_count,
        {{ irve_text('type_charge') }} as charge_type,
        {{ irve_text('coalesce(puissance_nominale, puiss_max)') }} as given_power,
        {{ irve_text('coalesce(type_prise, type_connecteur)') }} as given_connectors,
        {{ irve_text('prise_type_ef') }} as given_has_type_ef,
        {{ irve_text('prise_type_2') }} as given_has_type_2,
        {{ irve_text('prise_type_combo_ccs') }} as given_has_combo_ccs,
        {{ irve_text('prise_type_chademo') }} as given_has_chademo,
        {{ irve_text('prise_type_autre') }} as given_has_other_connector,
        {{ irve_text('gratuit') }} as given_is_free,
        {{ irve_text('paiement_acte') }} as given_has_pay_per_use,
        {{ irve_text('paiement_cb') }} as given_has_bank_card_payment,
        {{ irve_text('paiement_autre') }} as given_has_other_payment,
        {{ irve_text('coalesce(tarification, acces_recharge)') }} as pricing,
        {{ irve_text('condition_acces') }} as access_condition,
        {{ irve_text('reservation') }} as given_is_bookable,
        {{ irve_text('coalesce(horaires, accessibilite)') }} as opening_hours,
        {{ irve_text('accessibilite_pmr') }} as pmr_accessibility,
        {{ irve_text('restriction_gabarit') }} as size_restriction,
        {{ irve_text('station_deux_roues') }} as given_is_two_wheeler_station,
        {{ irve_text('raccordement') }} as grid_connection,
        {{ irve_text('num_pdl') }} as pdl_number,
        {{ irve_text('date_mise_en_service') }} as given_commissioned_on,
        {{ irve_text('date_maj') }} as given_updated_on,
        {{ irve_text('last_modified') }} as given_producer_modified_at,
        {{ irve_text('resource_id') }} as producer_resource_id,
        {{ irve_text('source') }} as producer_source,
        {{ irve_text('observations') }} as observations,
        {{ lineage() }},
        _replaced_on
    from source

),

prepared as (

    select
        *,
        replace(upper(given_commune_code), ' ', '') as joined_commune_code,
        {{ identifier('given_amenageur_siren') }} as joined_amenageur_siren,
        -- Before 2018 a power, when there is one, stands for the kind of charge: `22` rather than `accélérée`.
        coalesce(given_power, case when regexp_matches(charge_type, '^\d') then charge_type end) as power_text,
        coalesce(given_pair, given_longitude, given_latitude) as given_position,
        try_cast(trim(split_part(trim(given_pair, '[] '), ',', 1)) as double) as pair_first,
        try_cast(trim(split_part(trim(given_pair, '[] '), ',', 2)) as double) as pair_second,
        try_cast({{ french_number('given_longitude') }} as double) as named_longitude,
        try_cast({{ french_number('given_latitude') }} as double) as named_latitude,
        -- Connectors in words, if the text names one. T1 and T3 have no flag of their own; TRISTANDARD, CorriDoor's
        -- word, is T2, Combo and CHAdeMO.
        case
            when
                regexp_matches(
                    lower(given_connectors),
                    '\be/?f?\b|\bte\b|domestique|\bt(ype)? ?[1-4]|combo|ccs|chademo|tristandard'
                )
                then lower(given_connectors)
        end as connectors
    from given

),

-- The standard says [longitude, latitude] and many producers write the opposite: the order is the one that lands in
-- France. Columns named longitude and latitude are believed, and kept only if they land there too.
located as (

    select
        *,
        case
            when {{ is_in_france('pair_second', 'pair_first') }} then false
            when {{ is_in_france('pair_first', 'pair_second') }} then true
            when {{ is_in_france('named_latitude', 'named_longitude') }} then false
        end as is_axis_order_swapped
    from prepared

),

typed as (

    select
        *,
        {{ itinerance_id('given_itinerance_id') }} as charging_point_itinerance_id,
        {{ itinerance_id('given_station_id') }} as station_itinerance_id,
        case
            when regexp_full_match(joined_commune_code, '(\d{2}|2[AB])\d{3}') then joined_commune_code
            when regexp_full_match(joined_commune_code, '\d{4}') then '0' || joined_commune_code
        end as commune_code,
        regexp_extract_all(address, '\b\d{5}\b')[-1] as postal_code,
        case
            when is_axis_order_swapped then pair_first
            when not is_axis_order_swapped then coalesce(pair_second, named_latitude)
        end as latitude,
        case
            when is_axis_order_swapped then pair_second
            when not is_axis_order_swapped then coalesce(pair_first, named_longitude)
        end as longitude,
        case when regexp_full_match(joined_amenageur_siren, '\d{9}') then joined_amenageur_siren end as amenageur_siren,
        -- No station has 10,000 points; a bigger number is an identifier in the wrong column.
        case
            when try_cast(given_station_point_count as integer) between 0 and 10000
                then try_cast(given_station_point_count as integer)
        end as station_point_count,
        {{ irve_power_kw('power_text') }} as power_kw,
        coalesce(
            {{ irve_boolean('given_has_type_ef') }},
            regexp_matches(connectors, '\be/?f?\b|\bte\b|domestique')
        ) as has_type_ef,
        coalesce(
            {{ irve_boolean('given_has_type_2') }},
            regexp_matches(connectors, '\bt(ype)? ?2|tristandard')
        ) as has_type_2,
        coalesce(
            {{ irve_boolean('given_has_combo_ccs') }},
            regexp_matches(connectors, 'combo|ccs|tristandard')
        ) as has_combo_ccs,
        coalesce(
            {{ irve_boolean('given_has_chademo') }},
            regexp_matches(connectors, 'chademo|tristandard')
        ) as has_chademo,
        coalesce(
            {{ irve_boolean('given_has_other_connector') }},
            regexp_matches(connectors, '\bt(ype)? ?[134]')
        ) as has_other_connector,
        coalesce(
            {{ irve_boolean('given_is_free') }},
            case when lower(pricing) = 'gratuit' then true when lower(pricing) like '%payant%' then false end
        ) as is_free,
        {{ irve_boolean('given_has_pay_per_use') }} as has_pay_per_use,
        {{ irve_boolean('given_has_bank_card_payment') }} as has_bank_card_payment,
        {{ irve_boolean('given_has_other_payment') }} as has_other_payment,
        {{ irve_boolean('given_is_bookable') }} as is_bookable,
        {{ irve_boolean('given_is_two_wheeler_station') }} as is_two_wheeler_station,
        {{ irve_date('given_commissioned_on') }} as commissioned_on,
        {{ irve_date('given_updated_on') }} as updated_on,
        try_cast(given_producer_modified_at as timestamp) as producer_modified_at
    from located

),

final as (

    select
        schema_version,
        charging_point_itinerance_id,
        charging_point_local_id,
        station_itinerance_id,
        coalesce(given_station_local_id, case when station_itinerance_id is null then given_station_id end)
            as station_local_id,
        station_name,
        station_point_count,
        siting,
        address,
        commune_code,
        postal_code,
        coalesce(
            {{ departement_code_of_commune('commune_code') }},
            {{ departement_code_of_postal_code('postal_code') }}
        ) as departement_code,
        latitude,
        longitude,
        is_axis_order_swapped,
        amenageur_name,
        amenageur_siren,
        {{ is_luhn_valid('amenageur_siren') }} as is_amenageur_siren_valid,
        amenageur_contact,
        operator_name,
        operator_contact,
        operator_phone,
        enseigne_name,
        charge_type,
        power_kw,
        has_type_ef,
        has_type_2,
        has_combo_ccs,
        has_chademo,
        has_other_connector,
        pricing,
        is_free,
        has_pay_per_use,
        has_bank_card_payment,
        has_other_payment,
        access_condition,
        is_bookable,
        opening_hours,
        pmr_accessibility,
        size_restriction,
        is_two_wheeler_station,
        grid_connection,
        pdl_number,
        commissioned_on,
        updated_on,
        producer_modified_at,
        producer_resource_id,
        producer_source,
        observations,
        {{ invalid_columns({
            'charging_point_itinerance_id': 'given_itinerance_id',
            'station_point_count': 'given_station_point_count',
            'commune_code': 'given_commune_code',
            'latitude': 'given_position',
            'longitude': 'given_position',
            'amenageur_siren': 'given_amenageur_siren',
            'power_kw': 'power_text',
            'has_type_ef': 'coalesce(given_has_type_ef, given_connectors)',
            'has_type_2': 'given_has_type_2',
            'has_combo_ccs': 'given_has_combo_ccs',
            'has_chademo': 'given_has_chademo',
            'has_other_connector': 'given_has_other_connector',
            'is_free': 'given_is_free',
            'has_pay_per_use': 'given_has_pay_per_use',
            'has_bank_card_payment': 'given_has_bank_card_payment',
            'has_other_payment': 'given_has_other_payment',
            'is_bookable': 'given_is_bookable',
            'is_two_wheeler_station': 'given_is_two_wheeler_station',
            'commissioned_on': 'given_commissioned_on',
            'updated_on': 'given_updated_on',
            'producer_modified_at': 'given_producer_modified_at',
        }) }} as _invalid_columns,
        {{ lineage() }},
        _replaced_on
    from typed

)

select * from final
