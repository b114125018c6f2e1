import { expect, test } from 'vitest';

import { machineType, machineTypeInWords } from '../src/lib/machineType';

test('the type of a local workspace without a price is this computer', () => {
  const here = { instance_type: 't3.large', region: 'local', hourly_rate: null };
  expect(machineType(here)).toBe('local');
  expect(machineTypeInWords(here)).toBe('this computer, with the limits of a t3.large');
  expect(machineType({ ...here, hourly_rate: 0.08 })).toBe('t3.large');
  expect(machineTypeInWords({ ...here, region: 'us-east-1' })).toBe('t3.large');
});
