"""Files made from separated stems: mixes, single stems, NI Stems."""
