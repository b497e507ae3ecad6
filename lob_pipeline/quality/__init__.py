"""What a stored table must look like: schema gates derived from the declarations, drift against trailing history."""
