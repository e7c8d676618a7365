# Defragmentation of a heap: live allocations move together while the GPU reads them.
#
# 64 allocations of 4 to 32 KiB lie scattered over a heap of 4 MiB, one in each 64 KiB. Each has 64 KiB of the GPU's
# addresses to itself, which must not change; what it does not fill is sparse. An allocation moves in two steps: its
# pages are copied further down in the heap, then one bind points its addresses at the copy. A reader sees the old pages
# or the new ones, which hold the same. In the end all of them stand at the beginning of the heap.
#
#   panbind -d sim: run examples/defrag.pb

define seed    1
define count   64
define heap    4M
define room    64K                        # for an allocation, in the heap before and in the GPU's addresses
define base    0x8000_0000

vm create gpu
bo create heap $heap

# The sizes are random, and needed three times. The same seed gives the same sizes again, in the same order. `next` is
# the number of the next page over all allocations: it tells each page's stamp, and later its place in the heap.
begin
sparse reserve gpu $base $(count * room)
seed $seed
define next 0
repeat $count i
  define size $(rand(8) * 4K + 4K)
  repeat $(size / 4K) p
    bo fill heap $(stamp(next + p)) $(i * room + p * 4K) 8
  end
  sparse bind gpu $(base + i * room) $size heap+$(i * room)
  define next $(next + size / 4K)
end
commit

gpu resident gpu on
gpu read gpu $base $(count * room) --threads=2

# They move in their order, so a copy lands where nothing lives any more: the target of allocation I ends at or before
# (I + 1) * 32 KiB, and what has not moved yet begins at I * 64 KiB or later. The first stays where it is.
seed $seed
define next 0
repeat $count i
  define size $(rand(8) * 4K + 4K)
  begin
  repeat $(size / 4K) p
    bo fill heap $(stamp(next + p)) $((next + p) * 4K) 8
  end
  sparse bind gpu $(base + i * room) $size heap+$(next * 4K)
  commit
  define next $(next + size / 4K)
end

gpu stop gpu
assert faults gpu 0
assert torn gpu 0

# Every allocation is where it was for the GPU, holds what it held, and follows the one before it in the heap.
seed $seed
define next 0
repeat $count i
  define size $(rand(8) * 4K + 4K)
  assert mapped gpu $(base + i * room) $size heap+$(next * 4K)
  repeat $(size / 4K) p
    assert load gpu $(base + i * room + p * 4K) $(stamp(next + p))
  end
  define next $(next + size / 4K)
end
echo "$(next * 4K / 1K) KiB in use, at the heap's beginning"
vm show gpu --map
