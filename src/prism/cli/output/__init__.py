"""What every command prints with: tables, amounts, times, progress, failures."""
