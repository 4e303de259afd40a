-- How a French text is read: the only place that says so, for the profile, the generated models and `odh sql`.
-- Each function takes a text and gives its value, or NULL for what is no such value; none fails, none guesses from
-- the other rows. docs/types.md shows each with examples that are tested. An argument is used once wherever it can
-- be, for DuckDB writes its expression again at each use.

-- Text -----------------------------------------------------------------------------------------------------------

-- Without outer spaces, no-break ones (U+00A0, U+2007, U+202F) and byte order marks included; NULL when empty.
create or replace macro fr_text(t) as
    nullif(regexp_replace(t, '^[\s\x{A0}\x{2007}\x{202F}\x{FEFF}]+|[\s\x{A0}\x{2007}\x{202F}\x{FEFF}]+$', '', 'g'), '');

-- The same, if all of it matches a regular expression.
create or replace macro fr_match(t, pattern) as
    nullif(
        regexp_extract(
            t,
            '^[\s\x{A0}\x{2007}\x{202F}\x{FEFF}]*(' || pattern || ')[\s\x{A0}\x{2007}\x{202F}\x{FEFF}]*$',
            1
        ),
        ''
    );

-- A text that matches, without its spaces: `552 100 554` is `552100554`.
create or replace macro fr_compact(t, pattern) as
    regexp_replace(fr_match(t, pattern), '[\s\x{A0}\x{2007}\x{202F}.]', '', 'g');

-- Numbers --------------------------------------------------------------------------------------------------------

-- A number between two regular expressions, in the form DuckDB casts: `1 234,50 €` is `1234.50`. Thousands are
-- grouped by a space, a no-break space or an apostrophe; the sign may be U+2212. No leading zero: `007` is a code.
create or replace macro fr_number(t, before, after) as
    replace(replace(
        regexp_replace(
            fr_match(
                t,
                before
                || '[+\-\x{2212}]?(?:'
                || '(?:0|[1-9][0-9]*|[1-9][0-9]{0,2}(?:[ \x{A0}\x{2007}\x{202F}''\x{2019}][0-9]{3})+)(?:[.,][0-9]+)?'
                || '|[.,][0-9]+)'
                || after
            ),
            '[^0-9.,\-\x{2212}]', '', 'g'
        ), ',', '.'), '−', '-'
    );

create or replace macro fr_integer(t) as
    try_cast(
        replace(
            regexp_replace(
                fr_match(
                    t,
                    '[+\-\x{2212}]?(?:0|[1-9][0-9]{0,18}'
                    || '|[1-9][0-9]{0,2}(?:[ \x{A0}\x{2007}\x{202F}''\x{2019}][0-9]{3}){1,6})'
                ),
                '[^0-9\-\x{2212}]', '', 'g'
            ),
            '−', '-'
        ) as bigint
    );

-- A comma or a point before the decimals, never between thousands, unless both stand there: `1.234` is 1.234 and
-- `1.234,5` is 1234.5. An exponent must have a sign or decimals: `1.5e-3`, `1E+05`; `1e5` may be a code.
create or replace macro fr_decimal(t) as
    try_cast(
        replace(replace(
            regexp_replace(
                regexp_replace(
                    fr_match(
                        t,
                        '[+\-\x{2212}]?(?:'
                        || '(?:0|[1-9][0-9]{0,14}|[1-9][0-9]{0,2}(?:[ \x{A0}\x{2007}\x{202F}''\x{2019}][0-9]{3}){1,4})'
                        || '(?:[.,][0-9]+)?|[.,][0-9]+|[1-9][0-9]{0,2}(?:\.[0-9]{3}){1,4},[0-9]+'
                        || '|[0-9](?:[.,][0-9]+)?[eE][+-][0-9]{1,2}|[0-9][.,][0-9]+[eE][0-9]{1,2})'
                    ),
                    '[ \x{A0}\x{2007}\x{202F}''\x{2019}]', '', 'g'
                ),
                '([0-9])\.([0-9]{3})(?:\.([0-9]{3}))?(?:\.([0-9]{3}))?(?:\.([0-9]{3}))?,', '\1\2\3\4\5.'
            ), ',', '.'), '−', '-'
        ) as double
    );

-- Where the column shows that a point groups thousands: `1.234` is 1234, `1.234,5` is 1234.5.
create or replace macro fr_decimal_point_thousands(t) as
    try_cast(
        replace(
            replace(fr_match(t, '[+-]?(?:0|[1-9][0-9]{0,14}|[1-9][0-9]{0,2}(?:\.[0-9]{3}){1,4})(?:,[0-9]+)?'), '.', ''), ',', '.'
        ) as double
    );

-- Where the column shows that a comma groups thousands, as in English: `1,234` is 1234, `1,234.5` is 1234.5.
create or replace macro fr_decimal_comma_thousands(t) as
    try_cast(
        replace(fr_match(t, '[+-]?(?:0|[1-9][0-9]{0,14}|[1-9][0-9]{0,2}(?:,[0-9]{3}){1,4})(?:\.[0-9]+)?'), ',', '') as double
    );

-- The number before the sign %: `12,5 %` is 12.5. The unit stays %.
create or replace macro fr_percentage(t) as
    try_cast(fr_number(t, '', '[ \x{A0}\x{202F}]?%') as double);

-- An amount with its sign, € before or after, or EUR, euro, euros after; up to four decimals, so that none is rounded.
create or replace macro fr_money(t) as
    try_cast(
        coalesce(
            fr_number(
                regexp_extract(t, '^[^,.]*(?:[,.][0-9]{1,4})?[^0-9,.]*$'),
                '', '[ \x{A0}\x{202F}]?(?i:€|euros?|eur)'
            ),
            fr_number(regexp_extract(t, '^[^,.]*(?:[,.][0-9]{1,4})?[^0-9,.]*$'), '(?:€|EUR)[ \x{A0}\x{202F}]?', '')
        ) as decimal(18, 4)
    );

-- Amounts in thousands or millions of euros, in that unit: `12,5 k€` is 12.5.
create or replace macro fr_money_thousands(t) as
    try_cast(
        fr_number(
            regexp_extract(t, '^[^,.]*(?:[,.][0-9]{1,4})?[^0-9,.]*$'), '', '[ \x{A0}\x{202F}]?(?:[kK]€|[kK](?:EUR|euros?))'
        ) as decimal(18, 4)
    );
create or replace macro fr_money_millions(t) as
    try_cast(
        fr_number(
            regexp_extract(t, '^[^,.]*(?:[,.][0-9]{1,4})?[^0-9,.]*$'), '', '[ \x{A0}\x{202F}]?M(?:€|EUR|euros?)'
        ) as decimal(18, 4)
    );

-- Oui and non, in the ways files say it. Letters and digits are read too: the profile takes a column of these alone
-- for booleans only where it shows both of a pair, or its header says so.
create or replace macro fr_boolean(t) as
    case lower(fr_match(t, '(?i:oui|non|vrai|faux|true|false|yes|no|[onytf]|[01])'))
        when 'oui' then true when 'vrai' then true when 'true' then true when 'yes' then true
        when 'o' then true when 'y' then true when 't' then true when '1' then true
        when 'non' then false when 'faux' then false when 'false' then false when 'no' then false
        when 'n' then false when 'f' then false when '0' then false
    end;

-- Dates and times ------------------------------------------------------------------------------------------------
-- Years are of four digits, from 1000 to 2999, or 9999 (no end); so no shape has two readings but day and month.

-- A day in French words: `1er février 2024`, `lundi 12 janv. 2023`.
create or replace macro fr_date_words(t) as
    try_cast(
        regexp_extract(t, '([0-9]{4})[\s\x{A0}\x{202F}]*$', 1) || '-'
        || list_position(
            ['jan', 'fev', 'mar', 'avr', 'mai', 'jun', 'jul', 'aou', 'sep', 'oct', 'nov', 'dec'],
            regexp_replace(
                regexp_extract(
                    strip_accents(
                        lower(
                            fr_match(
                                t,
                                '(?i:(?:(?:lun|mar|mercre|jeu|vendre|same)di|dimanche)?,?[ \x{A0}]?(?:1er|[0-9]{1,2})[ \x{A0}]'
                                || '(?:janvier|f[eé]vrier|mars|avril|mai|juin|juillet|ao[uû]t|septembre|octobre'
                                || '|novembre|d[eé]cembre|(?:janv?|f[eé]vr?|avr|juil|sept?|oct|nov|d[eé]c)\.?)'
                                || '[ \x{A0}][12][0-9]{3})'
                            )
                        )
                    ),
                    '[0-9](?:er)?[^a-z]([a-z]+)', 1
                ),
                '^(?:(ju)i([nl])|(...)).*$', '\1\2\3'
            )
        )::varchar || '-'
        || regexp_extract(t, '([0-9]{1,2})', 1) as date
    );

-- Year first, or day first, or in words. A time of midnight or an offset adds nothing to a day, and is left out:
-- `2024-02-01T00:00:00+02:00`, `2024-02-01+02:00` (XML).
create or replace macro fr_date(t) as
    coalesce(
        try_strptime(
            regexp_replace(
                fr_match(
                    t,
                    '(?:[0-9]{1,2}/[0-9]{1,2}/(?:[12][0-9]{3}|9999)|(?:[12][0-9]{3}|9999)-[0-9]{1,2}-[0-9]{1,2}'
                    || '|[0-9]{1,2}-[0-9]{1,2}-(?:[12][0-9]{3}|9999)|[0-9]{1,2}\.[0-9]{1,2}\.(?:[12][0-9]{3}|9999)'
                    || '|(?:[12][0-9]{3}|9999)/[0-9]{1,2}/[0-9]{1,2})'
                    || '(?:[T ]0?0:00(?::00(?:[.,]0+)?)?(?:Z|[+-][01][0-9](?::?00)?)?|Z|[+-][01][0-9]:00)?'
                ),
                '[T ].*$|Z$|[+-][0-9]{2}:00$', ''
            ),
            ['%d/%m/%Y', '%Y-%m-%d', '%d-%m-%Y', '%Y/%m/%d', '%d.%m.%Y']
        )::date,
        fr_date_words(t)
    );

-- Year first, or month first as in the United States.
create or replace macro fr_date_month_first(t) as
    try_strptime(
        fr_match(
            t,
            '[0-9]{1,2}/[0-9]{1,2}/(?:[12][0-9]{3}|9999)|[0-9]{1,2}-[0-9]{1,2}-(?:[12][0-9]{3}|9999)'
            || '|(?:[12][0-9]{3}|9999)-[0-9]{1,2}-[0-9]{1,2}'
        ),
        ['%m/%d/%Y', '%Y-%m-%d', '%m-%d-%Y']
    )::date;

-- Day first, with two digits of the year: 00 to 68 are 2000 to 2068, 69 to 99 are 1969 to 1999 (POSIX).
create or replace macro fr_date_two_digit_year(t) as
    try_strptime(
        fr_match(
            t, '[0-9]{1,2}/[0-9]{1,2}/[0-9]{2}|[0-9]{1,2}-[0-9]{1,2}-[0-9]{2}|[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{2}'
        ),
        ['%d/%m/%y', '%d-%m-%y', '%d.%m.%y']
    )::date;

-- `20240201`, between 1800 and 2100.
create or replace macro fr_date_compact(t) as
    try_strptime(fr_match(t, '(?:1[89]|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])'), '%Y%m%d')::date;

-- A month, as its first day: `2024-02`, `02/2024`.
create or replace macro fr_month(t) as
    try_strptime(
        fr_match(t, '(?:1[89]|20)[0-9]{2}[-/](?:0[1-9]|1[0-2])|(?:0[1-9]|1[0-2])[-/](?:1[89]|20)[0-9]{2}'),
        ['%Y-%m', '%m/%Y', '%Y/%m', '%m-%Y']
    )::date;

-- A day and a time without zone, year first or day first; a day alone is its midnight. Six decimals of a second.
create or replace macro fr_timestamp(t) as
    try_cast(
        replace(replace(
            regexp_replace(
                regexp_replace(
                    fr_match(
                        t,
                        '(?:(?:[12][0-9]{3}|9999)(?:-[0-9]{1,2}-|/[0-9]{1,2}/)[0-9]{1,2}'
                        || '|[0-9]{1,2}(?:/[0-9]{1,2}/|-[0-9]{1,2}-|\.[0-9]{1,2}\.)(?:[12][0-9]{3}|9999))'
                        || '(?:(?:T| {1,2}| à )(?:[01]?[0-9]|2[0-3])[:h][0-5][0-9]'
                        || '(?::[0-5][0-9](?:[.,][0-9]{1,6}0*)?)?)?'
                    ),
                    '^([0-9]{1,2})[-/.]([0-9]{1,2})[-/.]([0-9]{4})', '\3-\2-\1'
                ),
                '(?:T| +| à )([0-9])', ' \1'
            ), ',', '.'), 'h', ':'
        ) as timestamp
    );

-- The same with `/` and `:`, month first as in the United States.
create or replace macro fr_timestamp_month_first(t) as
    try_cast(
        regexp_replace(
            fr_match(
                t,
                '[0-9]{1,2}/[0-9]{1,2}/(?:[12][0-9]{3}|9999)'
                || '(?: (?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6}0*)?)?)?'
            ),
            '^([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})', '\3-\1-\2'
        ) as timestamp
    );

-- A moment: ISO 8601 with `Z` or an offset from UTC (`+01:00`, `+0100`, `+01`).
create or replace macro fr_timestamp_utc(t) as
    try_cast(
        regexp_replace(
            regexp_replace(
                regexp_replace(
                    fr_match(
                        t,
                        '[12][0-9]{3}-[0-9]{2}-[0-9]{2}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]'
                        || '(?::[0-5][0-9](?:\.[0-9]{1,6}0*)?)? ?(?:Z|UTC|[+-][01][0-9](?::?[0-5][0-9])?)'
                    ),
                    '^(.{16})([^:].*)$', '\1:00\2'
                ),
                ' ?(?:Z|UTC)$', '+00'
            ),
            ' ([+-])', '\1'
        ) as timestamptz
    );

-- `20240201134500`, between 1800 and 2100, with or without seconds.
create or replace macro fr_timestamp_compact(t) as
    try_strptime(
        fr_match(
            t,
            '(?:1[89]|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])T?(?:[01][0-9]|2[0-3])[0-5][0-9](?:[0-5][0-9])?'
        ),
        ['%Y%m%d%H%M%S', '%Y%m%d%H%M', '%Y%m%dT%H%M%S', '%Y%m%dT%H%M']
    );

-- `13:45`, `13:45:07`, `13h45`, `13 h 45`, `13h`. GTFS writes 25:10:00 for the next day: that is no time of a day.
create or replace macro fr_time(t) as
    try_cast(
        regexp_replace(
            fr_match(
                t,
                '(?:[01]?[0-9]|2[0-3])(?::[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?| ?[hH](?: ?[0-5][0-9])?)'
            ),
            ' ?[hH] ?', ':'
        ) as time
    );

-- Places ---------------------------------------------------------------------------------------------------------

-- Degrees, east and north positive (WGS84).
create or replace macro fr_longitude(t) as list_filter([fr_decimal(t)], lambda degrees: abs(degrees) <= 180)[1];
create or replace macro fr_latitude(t) as list_filter([fr_decimal(t)], lambda degrees: abs(degrees) <= 90)[1];

-- Two numbers of degrees in one text, as `a b`: `48.85, 2.35`, `[2.35, 48.85]`, `48,85 ; 2,35`. Out of brackets one
-- of them has decimals; a comma without a space after it separates them only after a decimal point, for `48,85` is
-- one number.
create or replace macro fr_pair(t) as
    coalesce(
        trim(
            regexp_replace(
                fr_match(
                    t,
                    '-?[0-9]{1,3}\.[0-9]+(?: *[,;|] *| +)-?[0-9]{1,3}(?:\.[0-9]+)?'
                    || '|-?[0-9]{1,3}(?: *[;|] *| *, +| +)-?[0-9]{1,3}\.[0-9]+'
                    || '|[\[(] *-?[0-9]{1,3}(?:\.[0-9]+)? *[,;] *-?[0-9]{1,3}(?:\.[0-9]+)? *[\])]'
                ),
                '[^0-9.-]+', ' ', 'g'
            )
        ),
        replace(
            regexp_replace(
                fr_match(t, '-?[0-9]{1,3},[0-9]+(?: *[;|] *| +)-?[0-9]{1,3},[0-9]+'), '[^0-9,-]+', ' ', 'g'
            ),
            ',', '.'
        )
    );

-- Each of the two, and a point whose degrees are possible: its text, from which the two are taken.
create or replace macro fr_pair_first(t) as try_cast(regexp_extract(fr_pair(t), '^[^ ]+') as double);
create or replace macro fr_pair_second(t) as try_cast(regexp_extract(fr_pair(t), '[^ ]+$') as double);
create or replace macro fr_point_lat_lon(t) as
    case when abs(fr_pair_first(t)) <= 90 and abs(fr_pair_second(t)) <= 180 then fr_text(t) end;
create or replace macro fr_point_lon_lat(t) as
    case when abs(fr_pair_first(t)) <= 180 and abs(fr_pair_second(t)) <= 90 then fr_text(t) end;

-- A point in WKT, longitude first: `POINT(2.35 48.85)`.
create or replace macro fr_point_wkt(t) as
    fr_match(
        t,
        '(?i:(?:SRID *= *4326 *; *)?POINT *Z? *\( *)-?(?:1[0-7][0-9]|180|[0-9]{1,2})(?:\.[0-9]+)?'
        || ' +-?(?:[0-8]?[0-9]|90)(?:\.[0-9]+)?(?: +-?[0-9]+(?:\.[0-9]+)?)? *\)'
    );
create or replace macro fr_wkt_first(t) as
    try_cast(regexp_extract(fr_point_wkt(t), '\( *([0-9.-]+)', 1) as double);
create or replace macro fr_wkt_second(t) as
    try_cast(regexp_extract(fr_point_wkt(t), '\( *[0-9.-]+ +([0-9.-]+)', 1) as double);

-- Whether a position is in the bounding box of metropolitan France or of one of its overseas territories.
create or replace macro fr_is_in_france(longitude, latitude) as (
    (latitude between 41.2 and 51.2 and longitude between -5.3 and 9.7)  -- métropole
    or (latitude between 14.3 and 18.2 and longitude between -63.2 and -60.7)  -- Antilles
    or (latitude between 2.0 and 6.0 and longitude between -54.7 and -51.5)  -- Guyane
    or (latitude between -21.5 and -20.8 and longitude between 55.1 and 55.9)  -- La Réunion
    or (latitude between -13.1 and -12.5 and longitude between 44.9 and 45.4)  -- Mayotte
    or (latitude between 46.7 and 47.2 and longitude between -56.5 and -56.0)  -- Saint-Pierre-et-Miquelon
    or (latitude between -23.0 and -19.3 and longitude between 163.3 and 168.4)  -- Nouvelle-Calédonie
    or (latitude between -28.0 and -7.8 and longitude between -155.0 and -134.0)  -- Polynésie française
    or (latitude between -14.5 and -13.1 and longitude between -178.3 and -176.0)  -- Wallis-et-Futuna
);

-- Metres of Lambert 93 (EPSG:2154), within the bounds of metropolitan France.
create or replace macro fr_lambert93_x(t) as list_filter([fr_decimal(t)], lambda metres: metres between 0 and 1300000)[1];
create or replace macro fr_lambert93_y(t) as list_filter([fr_decimal(t)], lambda metres: metres between 6000000 and 7200000)[1];

-- Lambert 93 to degrees: the cone of IGN's note NTG_71 (n, C, Xs, Ys, and e of GRS80). The latitude is found from the
-- conformal one by Snyder's series in e² (Map Projections, USGS PP 1395, eq. 3-5) in place of NTG_71's iteration:
-- they agree to 1e-11 degree.
create or replace macro fr_lambert93_longitude(x, y) as
    3 + degrees(atan((x::double - 700000) / (12655612.050 - y::double))) / 0.7256077650;
create or replace macro fr_conformal_latitude(x, y) as
    2 * atan(
        pow(
            11754255.426 / sqrt(pow(x::double - 700000, 2) + pow(12655612.050 - y::double, 2)),
            1 / 0.7256077650
        )
    ) - pi() / 2;
create or replace macro fr_lambert93_latitude(x, y) as
    degrees(
        fr_conformal_latitude(x, y)
        + 3.3565514917e-03 * sin(2 * fr_conformal_latitude(x, y))
        + 6.5718728002e-06 * sin(4 * fr_conformal_latitude(x, y))
        + 1.7645643747e-08 * sin(6 * fr_conformal_latitude(x, y))
        + 5.3284785893e-11 * sin(8 * fr_conformal_latitude(x, y))
    );

-- Documents and geometry -----------------------------------------------------------------------------------------

-- The text of a JSON object or array; a lone number or word is no document.
create or replace macro fr_json(t) as
    case when json_valid(fr_match(t, '(?s:\{.*\}|\[.*\])')) then fr_text(t) end;

-- A geometry as WKB in hexadecimal, as PostGIS writes it: its bytes.
create or replace macro fr_geometry(t) as
    unhex(
        fr_match(
            t,
            '(?:01(?:0[1-7]0000[0-9a-fA-F]0|[eE][9a-fA-F]030000|[dD][1-7]070000|[bB][9a-fA-F]0[bB]0000)'
            || '|00[0-9a-fA-F]0000[037bB][0-9a-fA-F]{2})(?:[0-9a-fA-F]{2}){8,}'
        )
    );

-- Identifiers, kept as text --------------------------------------------------------------------------------------

-- Whether the digits of a text, the last one being their key, follow Luhn's formula (ISO/IEC 7812-1, annex B).
create or replace macro fr_is_luhn(t) as
    list_sum(
        list_transform(
            string_split(reverse(t), ''),
            lambda digit, place: case
                when place % 2 = 1 then try_cast(digit as integer)
                else try_cast(digit as integer) * 2 % 10 + try_cast(digit as integer) // 5
            end
        )
    ) % 10 = 0;

-- SIREN: nine digits, the last a Luhn key (Code de commerce R123-220, Insee). `552 100 554` is `552100554`.
create or replace macro fr_siren(t) as
    list_filter(
        [fr_compact(t, '[0-9]{9}|[0-9]{3}(?:[ \x{A0}\x{202F}.][0-9]{3}){2}')], lambda code: fr_is_luhn(code)
    )[1];
-- SIRET: a SIREN and five digits, a Luhn key on all (Insee). The places of La Poste (356000000) have run out of such
-- numbers: the sum of their digits is a multiple of 5.
create or replace macro fr_siret(t) as
    list_filter(
        [fr_compact(t, '[0-9]{14}|[0-9]{3}(?:[ \x{A0}\x{202F}.][0-9]{3}){2}[ \x{A0}\x{202F}.][0-9]{5}')],
        lambda code: fr_is_luhn(code)
        or (
            starts_with(code, '356000000')
            and list_sum(list_transform(string_split(code, ''), lambda digit: try_cast(digit as integer))) % 5 = 0
        )
    )[1];
-- EPCI: the SIREN of an intercommunal body, which begins by 20, 24 or 25 (Insee, code officiel géographique).
create or replace macro fr_epci_code(t) as
    list_filter([fr_match(t, '2[045][0-9]{7}')], lambda code: fr_is_luhn(code))[1];
-- FINESS: the département and a number, the last digit a Luhn key (DREES). Its letter in Corsica leaves the key unread.
create or replace macro fr_finess(t) as
    list_filter(
        [fr_match(t, '(?:0[1-9]|1[0-9]|2[1-9]|[3-8][0-9]|9[0-8])[0-9]{7}|2[AB][0-9]{7}')],
        lambda code: fr_is_luhn(code) or code[2] in ('A', 'B')
    )[1];
-- UAI: seven digits and a letter, their remainder by 23 in the alphabet without I, O and Q (Éducation nationale).
create or replace macro fr_uai(t) as
    list_filter(
        [fr_match(t, '[0-9]{7}[A-HJ-NPR-Z]')],
        lambda code: substr('ABCDEFGHJKLMNPRSTUVWXYZ', try_cast(code[:7] as integer) % 23 + 1, 1) = code[8]
    )[1];
-- RNA, the register of associations: W, the three characters of the greffe, six digits (Ministère de l'Intérieur).
create or replace macro fr_rna(t) as fr_match(t, 'W[0-9][0-9A-Z][0-9]{7}');
-- NAF rev. 2, or APE: `62.01Z`, `6201Z` (Insee). The revision before it had three digits and a letter: `72.1Z`.
create or replace macro fr_naf(t) as fr_match(t, '(?:0[1-9]|[1-9][0-9])\.?[0-9]{2}[A-Z]');
-- Commune: the département, 2A and 2B in Corsica, and a number; five characters, overseas too (Insee, COG).
create or replace macro fr_commune_code(t) as
    fr_match(t, '(?:0[1-9]|1[0-9]|2[1-9AB]|[3-8][0-9]|9[0-5])[0-9]{3}|97[1-8][0-9]{2}|98[4-9][0-9]{2}');
-- Département: two characters, three overseas (Insee, COG); 20 was Corsica until 1976.
create or replace macro fr_departement_code(t) as
    fr_match(t, '0[1-9]|1[0-9]|2[0-9AB]|[3-8][0-9]|9[0-5]|97[1-8]|98[4-9]');
-- Région: the 18 of 2016, the metropolitan ones before, and the collectivities of overseas (Insee, COG).
create or replace macro fr_region_code(t) as
    fr_match(t, '0[1-46]|11|2[1-8]|3[12]|4[1-4]|5[2-4]|7[2-6]|8[234]|9[134]|97[578]|98[4-9]');
-- Postal code: five digits, from 01000 to 98999 (La Poste, norme AFNOR XPZ 10-011).
create or replace macro fr_postal_code(t) as fr_match(t, '0[1-9][0-9]{3}|[1-8][0-9]{4}|9[0-8][0-9]{3}');
-- Telephone: ten digits from 0, or nine after +33 or 0033 (Arcep, plan national de numérotation), as written.
create or replace macro fr_phone(t) as
    fr_match(t, '(?:0|(?:\+|00)33[ .\-\x{A0}]?(?:\(0\)[ ]?)?)[1-9](?:[ .\-\x{A0}\x{202F}/]?[0-9]{2}){4}');
