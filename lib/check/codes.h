/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_CHECK_CODES_H
#define EK_CHECK_CODES_H

/*
 * Every code that a check can give: identifier, how bad it is, whether only a
 * strict check looks for it, what it means. One table for the library, the
 * man page and docs/fsck.md. Codes are stable: a new rule gets a new one, and
 * none ever changes its meaning.
 */

#include <erofskit/check.h>

/* clang-format off */
#define CK_CODES(X)                                                            \
X(IMAGE_READ, "IMAGE-READ", UNCHECKED, false,                                  \
  "bytes of the image or of a device cannot be read from its storage")         \
X(SUPER_MAGIC, "SUPER-MAGIC", UNCHECKED, false,                                \
  "there is no superblock of EROFS at byte 1024")                              \
X(SUPER_FEATURE, "SUPER-FEATURE", UNCHECKED, false,                            \
  "the image needs a feature or a codec that this version does not know")      \
X(SUPER_FIELD, "SUPER-FIELD", ERROR, false,                                    \
  "a field of the superblock breaks a rule, so that no kernel mounts it")      \
X(SUPER_CHECKSUM, "SUPER-CHECKSUM", ERROR, false,                              \
  "the checksum of the superblock is not that of its bytes")                   \
X(SUPER_TRUNCATED, "SUPER-TRUNCATED", ERROR, false,                            \
  "the image is shorter than its superblock says")                             \
X(SUPER_CONFIG, "SUPER-CONFIG", ERROR, false,                                  \
  "the configuration of a codec is cut off or breaks a limit")                 \
X(SUPER_PLACE, "SUPER-PLACE", ERROR, false,                                    \
  "metadata, shared attributes or a table would lie beyond the image")         \
X(SUPER_OPEN, "SUPER-OPEN", ERROR, false,                                      \
  "root, packed or metabox inode or the table of prefixes is damaged")         \
X(SUPER_COMPAT, "SUPER-COMPAT", WARNING, false,                                \
  "compatible features that nobody knows are announced")                       \
X(SUPER_NAME, "SUPER-NAME", WARNING, false,                                    \
  "a volume name of 16 bytes: kernels before 6.15 refuse it")                  \
X(SUPER_TIME, "SUPER-TIME", WARNING, false,                                    \
  "the nanoseconds of all compact inodes are a second or more")                \
X(SUPER_INODES, "SUPER-INODES", WARNING, false,                                \
  "the number of inodes is not that of the superblock")                        \
X(SUPER_RESERVED, "SUPER-RESERVED", WARNING, true,                             \
  "a reserved byte of superblock, codec configuration or slot is not zero")    \
X(DEVICE_COUNT, "DEVICE-COUNT", UNCHECKED, false,                              \
  "the number of devices given is not the one that the image needs")           \
X(DEVICE_SHORT, "DEVICE-SHORT", ERROR, false,                                  \
  "a device is shorter than its slot says")                                    \
X(DEVICE_OVERLAP, "DEVICE-OVERLAP", ERROR, false,                              \
  "two devices have the same blocks of the unified address space")             \
X(INODE_RANGE, "INODE-RANGE", ERROR, false,                                    \
  "an inode number leads beyond the metadata")                                 \
X(INODE_FIELD, "INODE-FIELD", ERROR, false,                                    \
  "a field of an inode breaks a rule: format, type, size or time")             \
X(INODE_LAYOUT, "INODE-LAYOUT", ERROR, false,                                  \
  "the layout of the data does not go with the type or with the image")        \
X(INODE_WIDE, "INODE-WIDE", ERROR, false,                                      \
  "an inode uses what needs the feature 48BIT, which is not announced")        \
X(INODE_TIME, "INODE-TIME", WARNING, false,                                    \
  "the nanoseconds of an inode are a second or more")                          \
X(INODE_LINKS, "INODE-LINKS", ERROR, false,                                    \
  "the number of links is not the number of names")                            \
X(INODE_BLOCKS, "INODE-BLOCKS", WARNING, false,                                \
  "a compressed inode counts more blocks than its data has")                   \
X(INODE_OVERLAP, "INODE-OVERLAP", ERROR, false,                                \
  "the metadata of two inodes, or of an inode and a table, overlaps")          \
X(INODE_RESERVED, "INODE-RESERVED", WARNING, true,                             \
  "a reserved byte of an inode is not zero")                                   \
X(INODE_UNREACHABLE, "INODE-UNREACHABLE", WARNING, true,                       \
  "something that looks like an inode has no name")                            \
X(SYMLINK_TARGET, "SYMLINK-TARGET", ERROR, false,                              \
  "a target is empty, longer than 4095 bytes, or has a zero byte")             \
X(XATTR_HEADER, "XATTR-HEADER", ERROR, false,                                  \
  "a region of attributes is a header alone or too small for its ids")         \
X(XATTR_ENTRY, "XATTR-ENTRY", ERROR, false,                                    \
  "attributes do not fill their region exactly")                               \
X(XATTR_SHARED, "XATTR-SHARED", ERROR, false,                                  \
  "a shared attribute lies beyond the image or is cut off")                    \
X(XATTR_NAME, "XATTR-NAME", ERROR, false,                                      \
  "the name of an attribute is empty, has a zero byte or does not fit its "    \
  "kind")                                                                      \
X(XATTR_INDEX, "XATTR-INDEX", WARNING, false,                                  \
  "an attribute has an unknown prefix, so nobody sees it")                     \
X(XATTR_DUPLICATE, "XATTR-DUPLICATE", WARNING, false,                          \
  "an attribute stands twice in one inode")                                    \
X(XATTR_ORDER, "XATTR-ORDER", WARNING, true,                                   \
  "attributes inside an inode are not sorted by name")                         \
X(XATTR_FILTER, "XATTR-FILTER", ERROR, false,                                  \
  "the filter denies an attribute that is there")                              \
X(XATTR_ACL, "XATTR-ACL", ERROR, false,                                        \
  "an access control list has a wrong version, length or tag")                 \
X(XATTR_RESERVED, "XATTR-RESERVED", WARNING, true,                             \
  "a reserved or padding byte of attributes is not zero")                      \
X(DIR_READ, "DIR-READ", ERROR, false,                                          \
  "the data of a directory cannot be decoded")                                 \
X(DIR_EMPTY, "DIR-EMPTY", ERROR, false,                                        \
  "a directory has no block")                                                  \
X(DIR_BLOCK, "DIR-BLOCK", ERROR, false,                                        \
  "the first name offset of a directory block is wrong")                       \
X(DIR_ENTRY, "DIR-ENTRY", ERROR, false,                                        \
  "an entry's name is not where it must be, or is no file name")               \
X(DIR_ORDER, "DIR-ORDER", ERROR, false,                                        \
  "names are not sorted, so that looking one up fails")                        \
X(DIR_DUPLICATE, "DIR-DUPLICATE", ERROR, false,                                \
  "a name stands twice in a directory")                                        \
X(DIR_TYPE, "DIR-TYPE", ERROR, false,                                          \
  "the type in an entry is not that of the inode")                             \
X(DIR_DOT, "DIR-DOT", ERROR, false,                                            \
  "\".\" is missing, or is not the directory itself")                          \
X(DIR_DOTDOT, "DIR-DOTDOT", ERROR, false,                                      \
  "\"..\" is missing, or is not the parent")                                   \
X(DIR_LOOP, "DIR-LOOP", ERROR, false,                                          \
  "a directory contains itself")                                               \
X(DIR_PARENT, "DIR-PARENT", ERROR, false,                                      \
  "a directory has two names")                                                 \
X(DIR_SPECIAL, "DIR-SPECIAL", ERROR, false,                                    \
  "the packed or the metabox inode has a name")                                \
X(DIR_RESERVED, "DIR-RESERVED", WARNING, true,                                 \
  "a reserved or padding byte of a directory is not zero")                     \
X(DIR_BUDGET, "DIR-BUDGET", UNCHECKED, false,                                  \
  "directories hold more bytes than the image has room for")                   \
X(MAP_HEADER, "MAP-HEADER", ERROR, false,                                      \
  "the header of a map breaks a rule")                                         \
X(MAP_RANGE, "MAP-RANGE", ERROR, false,                                        \
  "data, a map or an inline tail lies beyond its device")                      \
X(MAP_DEVICE, "MAP-DEVICE", ERROR, false,                                      \
  "data is on a device that the image does not have")                          \
X(MAP_INDEX, "MAP-INDEX", ERROR, false,                                        \
  "an index of a compressed file breaks a rule")                               \
X(MAP_DISTANCE, "MAP-DISTANCE", ERROR, false,                                  \
  "an index gives a wrong distance to the extent before or behind it")         \
X(MAP_COUNT, "MAP-COUNT", ERROR, false,                                        \
  "the count of blocks of a cluster is missing or misplaced")                  \
X(MAP_EOF, "MAP-EOF", ERROR, false,                                            \
  "the last index does not tell where the file ends")                          \
X(MAP_EXTENT, "MAP-EXTENT", ERROR, false,                                      \
  "an extent breaks a rule: order, length, codec or format")                   \
X(MAP_INLINE, "MAP-INLINE", ERROR, false,                                      \
  "an inline tail crosses a block")                                            \
X(MAP_FRAGMENT, "MAP-FRAGMENT", ERROR, false,                                  \
  "a fragment lies beyond the packed inode, or in itself")                     \
X(MAP_CONFLICT, "MAP-CONFLICT", ERROR, false,                                  \
  "two extents disagree about the cluster that they share")                    \
X(MAP_LONGER, "MAP-LONGER", WARNING, false,                                    \
  "an extent is longer compressed than decoded: kernels from 7.0 refuse it")   \
X(MAP_RESERVED, "MAP-RESERVED", WARNING, true,                                 \
  "a reserved bit of a map is not zero")                                       \
X(DATA_DECODE, "DATA-DECODE", ERROR, false,                                    \
  "a stream is damaged or decodes to another length")                          \
X(DATA_BUDGET, "DATA-BUDGET", UNCHECKED, false,                                \
  "decoding would take more bytes than --max-decode allows")                   \
X(SPACE_OVERLAP, "SPACE-OVERLAP", ERROR, false,                                \
  "data lies in the same bytes as metadata")                                   \
X(SPACE_SHARED, "SPACE-SHARED", WARNING, false,                                \
  "two compressed clusters overlap without being the same")                    \
X(SPACE_BUDGET, "SPACE-BUDGET", UNCHECKED, false,                              \
  "metadata overlaps so much that the rest was not looked at")                 \
X(SPACE_UNREFERENCED, "SPACE-UNREFERENCED", WARNING, true,                     \
  "bytes that nothing refers to are not zero")                                 \
X(SPACE_TRAILING, "SPACE-TRAILING", WARNING, true,                             \
  "bytes behind the last block of the image are not zero")
/* clang-format on */

enum ck_code {
#define CK_ENUM(id, text, severity, strict, meaning) CK_##id,
	CK_CODES(CK_ENUM)
#undef CK_ENUM
		CK_CODE_COUNT
};

#endif
