import os,time,numpy as np
from seqtile import Fasta
f=Fasta("/tmp/w/bgzf/data/few.fa"); n=next(iter(f)); q=f._quick; fd=os.open("/tmp/w/bgzf/data/few.fa",os.O_RDONLY)
f.fetch(n,0,1)
def best(g,k=20):
    b=1
    for _ in range(k):
        t=time.perf_counter(); g(); b=min(b,time.perf_counter()-t)
    return b*1e5
def a():
    for _ in range(10000): q(n,5,5)
def b():
    for _ in range(10000): q(n,5,6)
def c():
    for _ in range(10000): q(n,5000,6000)
def d():
    for _ in range(10000): os.pread(fd,1,50)
def e():
    for _ in range(10000): os.pread(fd,1017,5000)
def g():
    for _ in range(10000): f.fetch(n,5000,6000)
def h():
    for _ in range(10000): q("xx",5,6)
def i():
    for _ in range(10000): np.empty(1000,np.uint8)
for x,l in [(h,"miss"),(a,"empty"),(b,"1"),(c,"1000"),(g,"fetch 1000"),(d,"os.pread 1"),(e,"os.pread 1017"),(i,"np.empty")]: print(l,round(best(x)))
