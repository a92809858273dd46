"""Operations on codes: latents, sampling, variability, rows by level, row weights."""
