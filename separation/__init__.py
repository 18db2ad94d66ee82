"""Audio in, stems out: media files, the transform, the networks' engines, and the pipeline over them."""
