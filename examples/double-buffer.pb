# A double buffer: two BOs take turns under one range of addresses.
#
# The swap is an asynchronous bind. A timeline orders the swaps: swap N waits for point N - 1, signals point N, and
# nobody waits on the CPU in between. Three swaps are in flight before the script looks.
#
#   panbind -d sim: run examples/double-buffer.pb

define rounds  50
define size    1M
define screen  0x4000_0000

vm create gpu
bo create buffer0 $size
bo create buffer1 $size
bo stamp buffer0 0                        # pages 0 to 255
bo stamp buffer1 1000                     # pages 1000 to 1255
syncobj create swap

# Point 1 of the timeline: the first buffer is there.
begin async
  map gpu $screen $size buffer0 --signal=swap:1
commit
syncobj wait swap:1

gpu resident gpu on
gpu read gpu $screen $size --threads=2

repeat $rounds round
  repeat 3 k
    define point $(2 + round * 3 + k)
    begin async
      map gpu $screen $size buffer$((point + 1) % 2) --wait=swap:$(point - 1) --signal=swap:$point
    commit
  end

  syncobj wait swap:$point --timeout=5000
  assert point swap $point
  assert mapped gpu $screen $size buffer$((point + 1) % 2)
  assert load gpu $(screen + 5 * 4K) $(stamp((point + 1) % 2 * 1000 + 5))
end

gpu stop gpu
assert faults gpu 0
assert torn gpu 0
assert state gpu usable
echo "$point swaps, none of them seen halfway"
