"""Exports of separated songs: mixes, single stems, archives, NI Stems."""
