{{ config(post_hook="{{ forget_unusable() }}") }}
-- What walking the book costs beyond the touch, by hour, side and order size; definition: evaluation/costs.py.
with todo as ({{ partitions_to_do() }}),

sizes as (select unnest({{ var('sizes_quote') }})::bigint as size_quote),

books as (
  select b.*, d.content_sha256, d.contract, d.value_num, d.value_den, d.contract_value,
    b.ask_ticks_1 + b.bid_ticks_1 as m2,
    {{ stored_lots('bid') }} as bid_stored_lots,
    {{ stored_lots('ask') }} as ask_stored_lots
  from {{ ref('stg_book_snapshots') }} as b
  join todo as d on d.venue = b.venue and d.symbol = b.symbol and d.clock = b.clock and d.date = b.date
  where b.date in {{ dates_to_do() }} and b.valid and b.ts_ns % {{ var('sample_step_ns') }} = 0
),

orders as (
  select b.*, s.size_quote,
    case when b.contract = 'inverse' then ceil(s.size_quote / b.contract_value)::bigint
      else least(
        ((2 * s.size_quote)::hugeint * b.value_den + b.m2 * b.value_num - 1) // (b.m2 * b.value_num),
        4611686018427387904::hugeint
      )::bigint end as q_lots
  from books as b cross join sizes as s
),

costs as (
  {% for side, taker in (('ask', 'buy'), ('bid', 'sell')) -%}
  select venue, symbol, clock, date, content_sha256, size_quote, '{{ taker }}' as side,
    ((ts_ns - 1) // 3600000000000) % 24 as hour,
    case when {{ side }}_stored_lots >= q_lots
      then 20000.0 * {{ walked(side, 'q_lots') }} / (q_lots * m2) end as slippage_bps
  from orders
  {{ 'union all' if not loop.last }}
  {% endfor %}
)

select venue, symbol, clock, date, hour, side, size_quote, content_sha256,
  count(*) as samples,
  count(slippage_bps) / count(*) as filled_share,
  avg(slippage_bps) as slippage_mean_bps,
  {% for p in (5, 50, 95, 99) -%}
  {{ cost_quantile('slippage_bps', p / 100) }} as slippage_p{{ '%02d' % p }}_bps{{ ',' if not loop.last }}
  {% endfor -%}
from costs
group by all
