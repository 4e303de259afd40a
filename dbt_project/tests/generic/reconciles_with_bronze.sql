{#-
    Every row of the newest extractions in bronze is a row here; none is lost, none is there twice.
    rejected_when: the condition on a bronze row under which it is left out, where the feed says that rows leave.
-#}
{% test reconciles_with_bronze(model, bronze, rejected_when='false') %}
    with

    published as (

        {{ latest_extraction(bronze) }}

    ),

    published_counts as (

        select
            count(*) as published_count,
            count(*) filter (where {{ rejected_when }}) as rejected_count
        from published

    ),

    kept_counts as (

        select count(*) as kept_count
        from {{ model }}

    )

    select *
    from published_counts
    cross join kept_counts
    where published_count <> kept_count + rejected_count
{% endtest %}
