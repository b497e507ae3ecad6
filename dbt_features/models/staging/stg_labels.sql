{{ usable('labels') }}
