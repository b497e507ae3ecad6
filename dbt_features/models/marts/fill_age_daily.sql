{{ config(post_hook="{{ forget_unusable('labels') }}") }}
-- Do fast fills lose and slow ones earn? Fills of a day by how long the order had waited, side and queue model.
with todo as ({{ partitions_to_do('labels') }}),

orders as ({{ orders_by_queue('todo') }}),

fills as (
  select *,
    case
    {%- for edge in var('fill_age_edges_ms') %}
      when fill_delay_ns <= {{ edge }}::bigint * 1000000 then {{ edge }}
    {%- endfor %}
    end as age_to_ms
  from orders
  where filled
),

ages as (
  select venue, symbol, clock, date, side, queue_model, age_to_ms, content_sha256,
    count(*) as fills,
    count(distinct t_fill_ns) as distinct_fill_instants,
    avg(markout_5s_bps) as markout_5s_mean_bps,
    {% for p in (5, 50, 95) -%}
    quantile_disc(markout_5s_bps, {{ p / 100 }}) as markout_5s_p{{ '%02d' % p }}_bps,
    {% endfor -%}
    avg(adverse::int) as adverse_share,
    avg(edge_bps) as edge_mean_bps
  from fills
  group by all
)

select *, fills / sum(fills) over (partition by venue, symbol, clock, date, side, queue_model) as share_of_fills
from ages
