{{ usable('trades') }}
