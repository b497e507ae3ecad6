{{ config(post_hook="{{ forget_unusable() }}") }}
-- Spread, validity, message rate and trades of each hour of each day: is this market worth looking at, and when.
with todo as ({{ partitions_to_do() }}),

books as (
  select b.venue, b.symbol, b.clock, b.date,
    ((b.ts_ns - 1) // 3600000000000) % 24 as hour,
    b.ts_ns % {{ var('sample_step_ns') }} = 0 as sampled,
    b.valid, b.messages,
    b.ask_ticks_1 - b.bid_ticks_1 as spread_ticks,
    b.ask_ticks_1 + b.bid_ticks_1 as m2
  from {{ ref('stg_book_snapshots') }} as b
  semi join todo as t on t.venue = b.venue and t.symbol = b.symbol and t.clock = b.clock and t.date = b.date
  where b.date in {{ dates_to_do() }}
),

hours as (
  select venue, symbol, clock, date, hour,
    count(*) as rows,
    avg(valid::int) as valid_share,
    sum(messages)::bigint as messages,
    count(*) filter (valid and sampled) as samples,
    avg(spread_ticks) filter (valid and sampled) as spread_mean_ticks,
    {% for p in (5, 50, 95) -%}
    quantile_disc(spread_ticks, {{ p / 100 }}) filter (valid and sampled) as spread_p{{ '%02d' % p }}_ticks,
    quantile_disc(20000.0 * spread_ticks / m2, {{ p / 100 }}) filter (valid and sampled) as spread_p{{ '%02d' % p }}_bps,
    {% endfor -%}
    avg(20000.0 * spread_ticks / m2) filter (valid and sampled) as spread_mean_bps
  from books
  group by all
),

trades as (
  select t.venue, t.symbol, t.date,
    least(greatest((t.ts_event_ns - 1) // 3600000000000 - (epoch_ns(t.date::timestamp) // 3600000000000), 0), 23) as hour,
    count(*) as trades,
    sum(t.size_lots)::bigint as traded_lots,
    sum(t.size_lots) filter (t.side = 1)::bigint as taker_bought_lots
  from {{ ref('stg_trades') }} as t
  where t.date in {{ dates_to_do() }}
  group by all
)

select h.venue, h.symbol, h.clock, h.date, h.hour, d.content_sha256,
  h.* exclude (venue, symbol, clock, date, hour),
  coalesce(t.trades, 0) as trades,
  coalesce(t.traded_lots, 0) as traded_lots,
  coalesce(t.taker_bought_lots, 0) as taker_bought_lots
from hours as h
join todo as d on d.venue = h.venue and d.symbol = h.symbol and d.clock = h.clock and d.date = h.date
left join trades as t on t.venue = h.venue and t.symbol = h.symbol and t.date = h.date and t.hour = h.hour
