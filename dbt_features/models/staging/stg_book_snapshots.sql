{{ usable('book_snapshots') }}
