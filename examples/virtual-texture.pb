# A virtual texture: 256 MiB of addresses, 16 MiB of memory behind them.
#
# The texture is cut into 4096 pages of 64 KiB, of which 256 have memory at any time; the others are backed by the
# sparse dummy. In each frame the camera asks for 16 pages that have none. They get the memory of the 16 pages that have
# had theirs for longest. The GPU reads the whole texture all the while: it must never find a hole, and never anything
# but the dummy's zeros or the stamp of some page of the pool.
#
#   panbind -d sim: run examples/virtual-texture.pb
#   panbind -d sim: run -D frames=2000 -D seed=7 examples/virtual-texture.pb
#   panbind -d sim:atomic=off run examples/virtual-texture.pb        a kernel without atomic updates: the GPU faults

define seed     1
define frames   240
define changes  16                        # pages that come and go in a frame

define page     64K
define pages    4096
define slots    256                       # pages that have memory
define base     0x1_0000_0000
define size     $(pages * page)

# The camera's way: turn T looks at page (T * stride + start) % pages. The stride is odd, so it comes back to a page
# only after all others, and a page that it asks for never has memory yet.
seed $seed
define start    $(rand(pages))
define stride   $(rand(pages / 2) * 2 + 1)

vm create gpu
bo create pool $(slots * page)
bo label pool "virtual texture pages"
bo stamp pool

begin
sparse reserve gpu $base $size
repeat $slots turn
  sparse bind gpu $(base + (turn * stride + start) % pages * page) $page pool+$(turn * page)
end
commit

gpu resident gpu on
gpu read gpu $base $size --threads=2

# A frame is a transaction: if one of its binds failed, the texture would be what it was in the frame before.
repeat $frames frame
  begin
  repeat $changes change
    define turn  $(slots + frame * changes + change)
    define old   $(((turn - slots) * stride + start) % pages)
    define new   $((turn * stride + start) % pages)
    define slot  $(turn % slots)
    sparse unbind gpu $(base + old * page) $page
    sparse bind   gpu $(base + new * page) $page pool+$(slot * page)
  end
  commit
end

gpu stop gpu
assert faults gpu 0
assert torn gpu 0
assert state gpu usable

# The last 256 pages that were asked for have memory, each its own piece of the pool; those before them have none.
repeat $slots back
  define turn  $(frames * changes + back)
  define slot  $(turn % slots)
  assert mapped gpu $(base + (turn * stride + start) % pages * page) $page pool+$(slot * page)
  assert load   gpu $(base + (turn * stride + start) % pages * page + 60K) $(stamp(slot * 16 + 15))
  assert sparse gpu $(base + ((turn + slots) * stride + start) % pages * page) $page
end

vm show gpu --map
