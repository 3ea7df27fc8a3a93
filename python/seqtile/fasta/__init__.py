"""FASTA and FASTQ files: one record after another, or any interval through an index."""
