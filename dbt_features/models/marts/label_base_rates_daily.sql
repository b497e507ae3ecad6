{{ config(post_hook="{{ forget_unusable('labels') }}") }}
-- What became of a day's simulated orders, by side and queue model: the base rates that a model has to beat.
with todo as ({{ partitions_to_do('labels') }}),

orders as ({{ orders_by_queue('todo') }})

select venue, symbol, clock, date, side, queue_model, content_sha256,
  count(*) as orders,
  count(*) filter (valid) as valid_orders,
  count(*) filter (filled) as filled_orders,
  count(distinct t_fill_ns) filter (filled) as distinct_fill_instants,
  count(*) filter (filled) / nullif(count(*) filter (valid), 0) as filled_share,
  avg(adverse::int) filter (filled) as adverse_share,
  avg(entry::int) filter (valid) as entry_share,
  avg(edge_bps) filter (filled) as edge_mean_bps,
  avg(markout_5s_bps) filter (filled) as markout_5s_mean_bps,
  avg(exit_maker_ratio) filter (filled) as exit_maker_mean_ratio
from orders
group by all
