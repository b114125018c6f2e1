import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Checkbox from '@cloudscape-design/components/checkbox';
import Modal from '@cloudscape-design/components/modal';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import Table from '@cloudscape-design/components/table';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';

import type { Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { t } from '../../strings';
import { Loaded } from '../../ui/Loaded';

/** A button that checks every template and shows what is wrong. */
export function TemplateChecks() {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button onClick={() => setOpen(true)}>{t.checks.button}</Button>
      {open && <ChecksDialog close={() => setOpen(false)} />}
    </>
  );
}

function ChecksDialog({ close }: { readonly close: () => void }) {
  const [packages, setPackages] = useState(false);
  const query = useQuery(queries.templateChecks(packages));
  return (
    <Modal visible size="large" header={t.checks.title} closeAriaLabel={t.close} onDismiss={close}>
      <SpaceBetween size="m">
        <Checkbox checked={packages} onChange={({ detail }) => setPackages(detail.checked)}>
          {t.checks.packages}
        </Checkbox>
        <Loaded query={query} what={t.checks.title}>
          {(report) => <Report report={report} />}
        </Loaded>
      </SpaceBetween>
    </Modal>
  );
}

function Report({ report }: { readonly report: Schemas['ValidationReport'] }) {
  const results = report.validation_results;
  const wrong = results.filter((it) => it.status === 'invalid').length;
  const issues = results
    .flatMap(({ template, issues: all }) => all.map((issue) => ({ ...issue, template })))
    .toSorted((a, b) => a.level.localeCompare(b.level)); // mistakes, then warnings
  return (
    <SpaceBetween size="m">
      <StatusIndicator type={wrong === 0 ? 'success' : 'error'}>
        {t.checks.result(report.total_templates, wrong)}
      </StatusIndicator>
      <Table<Schemas['TemplateIssue'] & { readonly template: string }>
        variant="embedded"
        contentDensity="compact"
        wrapLines
        items={issues}
        ariaLabels={{ tableLabel: t.checks.found }}
        empty={<Box color="text-body-secondary">{t.checks.none}</Box>}
        columnDefinitions={[
          {
            id: 'template',
            header: t.fields.template,
            isRowHeader: true,
            minWidth: 100,
            cell: (it) => it.template,
          },
          {
            id: 'found',
            header: t.checks.found,
            minWidth: 150,
            cell: (it) => (
              <StatusIndicator type={it.level}>
                {t.checks.problem(it.level, it.message, it.where)}
              </StatusIndicator>
            ),
          },
        ]}
      />
    </SpaceBetween>
  );
}
