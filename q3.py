from seqtile import Fasta
f=Fasta("/tmp/w/bgzf/data/few.fa"); n=next(iter(f)); q=f._quick
f.fetch(n,0,1)
for _ in range(3000000): q(n,5000,6000)
