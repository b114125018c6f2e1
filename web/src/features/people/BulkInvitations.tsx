import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Modal from '@cloudscape-design/components/modal';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';

import { actions } from '../../api/actions';
import type { Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { endOfDay } from './lastDay';
import { atEndOf, EndFields, isComplete, WITHOUT_END } from './MemberEnd';
import type { Guest } from './people';
import { heirsOf } from './roles';
import { t } from '../../strings';
import { ErrorAlert } from '../../ui/ErrorAlert';
import { Loaded } from '../../ui/Loaded';

/** Shows what inviting everybody in a file would do, and does it. */
export function BulkInvitations({
  project,
  guests,
  close,
}: {
  readonly project: Schemas['ProjectShown'];
  readonly guests: readonly Guest[];
  readonly close: () => void;
}) {
  const [end, setEnd] = useState(WITHOUT_END);
  const until = endOfDay(end.day);
  const haveEnds = until !== null || guests.some((it) => typeof it.until === 'string');
  const ends = {
    ...(until === null ? {} : { until }),
    ...(haveEnds && isComplete(end) ? atEndOf(end) : {}),
  };
  const rehearsal = useQuery(queries.rehearsal(project.id, guests, ends));
  const [sent, setSent] = useState<Schemas['BulkInvitationAnswer'] | null>(null);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const send = async () => {
    setBusy(true);
    setError(null);
    try {
      setSent(await actions.inviteAll(project.id, guests, ends, false));
    } catch (problem) {
      setError(problem as Error);
    } finally {
      setBusy(false);
    }
  };
  const ready = (rehearsal.data?.summary.sent ?? 0) > 0 && isComplete(end);
  return (
    <Modal
      visible
      size="large"
      header={t.invitations.all(guests.length)}
      closeAriaLabel={t.close}
      onDismiss={close}
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" onClick={close}>
              {sent === null ? t.cancel : t.close}
            </Button>
            {sent === null && (
              <Button
                variant="primary"
                loading={busy}
                disabled={!ready}
                onClick={() => void send()}
              >
                {t.invitations.sendAll(rehearsal.data?.summary.sent ?? 0)}
              </Button>
            )}
          </SpaceBetween>
        </Box>
      }
    >
      <SpaceBetween size="m">
        {error !== null && <ErrorAlert error={error} />}
        {sent === null && (
          <EndFields
            end={end}
            change={setEnd}
            heirs={heirsOf(project, '')}
            then={t.memberEnd.thenOfAll}
            asks={haveEnds}
          />
        )}
        {sent === null ? (
          <Loaded query={rehearsal} what={t.money.tab.invitations}>
            {(results) => <ResultTable results={results} />}
          </Loaded>
        ) : (
          <ResultTable results={sent} />
        )}
      </SpaceBetween>
    </Modal>
  );
}

function ResultTable({ results }: { readonly results: Schemas['BulkInvitationAnswer'] }) {
  const { sent, skipped, failed } = results.summary;
  return (
    <Table<Schemas['BulkInvitationResult']>
      variant="embedded"
      header={<Box>{t.invitations.summary(results.dry_run, sent, skipped, failed)}</Box>}
      items={results.results}
      wrapLines
      ariaLabels={{ tableLabel: t.money.tab.invitations }}
      columnDefinitions={[
        { id: 'email', header: t.invitations.email, isRowHeader: true, cell: (it) => it.email },
        { id: 'status', header: t.fields.state, cell: (it) => it.status },
        { id: 'why', header: t.idle.because, cell: (it) => it.error ?? it.reason ?? '' },
      ]}
    />
  );
}
