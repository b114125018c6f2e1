import Box from '@cloudscape-design/components/box';
import { useEffect, useRef } from 'react';

import type { Instance } from '../../api/client';
import { useLog } from './useLog';
import { t } from '../../strings';
import { ErrorAlert } from '../../ui/ErrorAlert';

// eslint-disable-next-line no-control-regex -- the log is hostile; these are taken out of it
const CONTROL = /\u001b\[[0-9;?]*[A-Za-z]|[^\P{C}\t]/gu; // escapes, and what no reader can see

/** A log that grows; it stays at its end, unless somebody scrolled away from there. */
export function LogLines({
  instance,
  type,
  search = '',
  compact = false,
}: {
  readonly instance: Instance;
  readonly type: string;
  readonly search?: string;
  readonly compact?: boolean;
}) {
  const { lines, error, ended } = useLog(instance.workspace, type, compact ? 12 : 500);
  const box = useRef<HTMLPreElement>(null);
  const atEnd = useRef(true);
  const sought = search.toLowerCase();
  const shown = lines
    .filter((line) => sought === '' || line.toLowerCase().includes(sought))
    .slice(compact ? -12 : 0);
  useEffect(() => {
    if (box.current !== null && atEnd.current) box.current.scrollTop = box.current.scrollHeight;
  }, [shown.length]);
  if (error !== null && lines.length === 0) return compact ? null : <ErrorAlert error={error} />;
  return (
    <div>
      <pre
        ref={box}
        className="mono log"
        tabIndex={0}
        role="log"
        aria-label={t.logs.of(instance.name, type)}
        onScroll={({ currentTarget: it }) => {
          atEnd.current = it.scrollHeight - it.scrollTop - it.clientHeight < 24;
        }}
      >
        {shown.map((line) => line.replace(CONTROL, '')).join('\n')}
      </pre>
      {!compact && (
        <Box variant="small" color="text-body-secondary">
          {t.logs.state(shown.length, lines.length, ended)}
        </Box>
      )}
    </div>
  );
}
