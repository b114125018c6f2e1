import Button from '@cloudscape-design/components/button';
import Header from '@cloudscape-design/components/header';
import StatusIndicator, {
  type StatusIndicatorProps,
} from '@cloudscape-design/components/status-indicator';
import Table from '@cloudscape-design/components/table';
import { useQuery } from '@tanstack/react-query';

import type { Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { t } from '../../strings';
import { Loaded } from '../../ui/Loaded';
import { Remediation } from '../../ui/Remediation';
import { RelativeTime } from '../../ui/RelativeTime';

type Finding = Schemas['DoctorFinding'];
const LEVELS: Readonly<Record<Finding['level'], StatusIndicatorProps.Type>> = {
  broken: 'error',
  warning: 'warning',
  skipped: 'stopped',
  ok: 'success',
};
const ORDER = Object.keys(LEVELS);

/** What is wrong where the daemon runs, the worst first, and how to put it right. */
export function DoctorFindings() {
  const query = useQuery(queries.doctor);
  return (
    <Loaded query={query} what={t.system.findings}>
      {({ findings, checked_at: at }) => (
        <Table<Finding>
          header={
            <Header
              variant="h2"
              counter={t.system.count(findings.filter((it) => it.fix !== null).length)}
              description={
                <>
                  {t.system.lookedAt} <RelativeTime at={at} />
                </>
              }
              actions={
                <Button loading={query.isFetching} onClick={() => void query.refetch()}>
                  {t.system.lookAgain}
                </Button>
              }
            >
              {t.system.findings}
            </Header>
          }
          items={findings.toSorted((a, b) => ORDER.indexOf(a.level) - ORDER.indexOf(b.level))}
          contentDensity="compact"
          wrapLines
          ariaLabels={{ tableLabel: t.system.findings }}
          columnDefinitions={[
            {
              id: 'level',
              minWidth: 150,
              header: t.fields.state,
              cell: (it) => (
                <StatusIndicator type={LEVELS[it.level]}>
                  {t.system.levels[it.level]}
                </StatusIndicator>
              ),
            },
            { id: 'check', header: t.system.check, isRowHeader: true, cell: (it) => it.check },
            { id: 'said', header: t.system.found, minWidth: 240, cell: (it) => it.said },
            {
              id: 'fix',
              header: t.system.fix,
              minWidth: 240,
              cell: (it) => (it.fix ? <Remediation text={it.fix} /> : ''),
            },
          ]}
        />
      )}
    </Loaded>
  );
}
