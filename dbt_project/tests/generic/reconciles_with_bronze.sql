{#-
    Every current row of bronze is a row here; none is lost, none is there twice.
    mode, keys: what the feed says of the table, as current_rows takes them.
    rejected_when: the condition on a bronze row under which it is left out, where the feed says that rows leave.
-#}
{% test reconciles_with_bronze(model, bronze, rejected_when='false', mode='overwrite', keys=[]) %}
    with

    published as (

        {{ current_rows(bronze, mode=mode, keys=keys) }}

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
