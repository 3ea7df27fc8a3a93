import sys,os
from seqtile import Fasta
f=Fasta("/tmp/w/bgzf/data/few.fa"); n=next(iter(f)); q=f._quick; fd=os.open("/tmp/w/bgzf/data/few.fa",os.O_RDONLY)
f.fetch(n,0,1)
m=sys.argv[1]
if m=="q":
    for _ in range(2000000): q(n,5000,6000)
elif m=="f":
    for _ in range(2000000): f.fetch(n,5000,6000)
elif m=="o":
    for _ in range(2000000): os.pread(fd,1017,5000)
elif m=="e":
    for _ in range(2000000): q(n,5,5)
