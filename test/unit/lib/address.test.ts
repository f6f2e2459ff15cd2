import { expect, test } from 'vitest';
import { addressKind } from '../../../src/lib/address.ts';
import { threat } from '../../support/threats.ts';

test.each([
  ['8.8.8.8', 'public'],
  ['172.15.255.255', 'public'],
  ['172.16.0.1', 'private'],
  ['10.1.2.3', 'private'],
  ['192.168.1.1', 'private'],
  ['100.63.255.255', 'public'],
  ['100.64.0.1', 'private'],
  ['100.127.255.255', 'private'],
  ['100.128.0.0', 'public'],
  ['0.0.0.0', 'private'],
  ['0.1.2.3', 'private'],
  ['192.0.0.8', 'private'],
  ['198.18.0.1', 'private'],
  ['198.20.0.1', 'public'],
  ['224.0.0.1', 'private'],
  ['240.0.0.1', 'private'],
  ['255.255.255.255', 'private'],
  ['127.8.8.8', 'loopback'],
  ['169.254.169.254', 'link-local'],
  ['::1', 'loopback'],
  ['::', 'private'],
  ['fe80::1', 'link-local'],
  ['fe80::1%eth0', 'link-local'],
  ['fd00::1', 'private'],
  ['fec0::1', 'private'],
  ['ff02::1', 'private'],
  ['100::1', 'private'],
  ['2606:4700::1', 'public'],
])('%s is %s', (address, kind) => {
  expect(addressKind(address)).toBe(kind);
});

test.each([
  ['IPv4-mapped', '::ffff:169.254.169.254', 'link-local'],
  ['IPv4-mapped in hexadecimal', '::ffff:a00:1', 'private'],
  ['IPv4-mapped written out', '0:0:0:0:0:ffff:7f00:0001', 'loopback'],
  ['IPv4-mapped, public', '::ffff:8.8.8.8', 'public'],
  ['IPv4-compatible', '::10.0.0.1', 'private'],
  ['IPv4-translated', '::ffff:0:127.0.0.1', 'loopback'],
  ['NAT64', '64:ff9b::10.0.0.1', 'private'],
  ['NAT64 to link-local', '64:ff9b::a9fe:a9fe', 'link-local'],
  ['NAT64, public: every IPv4 host of an IPv6-only network', '64:ff9b::8.8.8.8', 'public'],
  ["NAT64 of a network's own", '64:ff9b:1::8.8.8.8', 'private'],
  ['6to4', '2002:c0a8:101::1', 'private'],
  ['6to4, public', '2002:808:808::1', 'public'],
  ['Teredo, a private client', '2001:0:808:808:0:0:f5ff:fffe', 'private'],
  ['Teredo, a private server', '2001:0:a00:1:0:0:f7f7:f7f7', 'private'],
  ['Teredo, public', '2001:0:808:808:0:0:f7f7:f7f7', 'public'],
  ['ISATAP', '2606:4700::5efe:10.0.0.1', 'private'],
  ['ISATAP with the universal bit', '2606:4700::200:5efe:127.0.0.1', 'loopback'],
])(threat('C8', 'IPv4 inside IPv6 does not hide where it leads: %s, %s is %s'), (_, address, kind) => {
  expect(addressKind(address)).toBe(kind);
});
