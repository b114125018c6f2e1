import { useEffect, useState } from 'react';

/** A value that follows another one once that has rested for some milliseconds. */
export function useLater<T>(value: T, rest: number): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), rest);
    return () => clearTimeout(timer);
  }, [value, rest]);
  return settled;
}
