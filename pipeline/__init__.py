"""From an uploaded song to stems on disk: decoding, detection, separation, playback files and exports."""
