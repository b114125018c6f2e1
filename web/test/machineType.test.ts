import { expect, test } from 'vitest';

import { machineType } from '../src/features/workspaces/machineType';

test('the type of a local workspace without a price is this computer', () => {
  const here = { instance_type: 't3.large', machine: 'this computer, at most 2 cores' };
  expect(machineType(here)).toBe('local');
  expect(machineType({ ...here, machine: 't3.large' })).toBe('t3.large');
});
