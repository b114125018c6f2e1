import Badge from '@cloudscape-design/components/badge';
import SpaceBetween from '@cloudscape-design/components/space-between';

import type { TemplateItem } from '../../api/client';
import { usable } from '../../lib/order';
import { runsHere } from '../../lib/providers';
import { t } from '../../strings';

/** What is true of a template, in a few words. */
export function TemplateBadges({
  template: it,
  provider,
}: {
  readonly template: TemplateItem;
  readonly provider: string;
}) {
  return (
    <SpaceBetween direction="horizontal" size="xxs">
      {it.validation_status === 'invalid' && <Badge color="red">{t.templates.invalid}</Badge>}
      {it.validation_status !== 'invalid' && usable(it, provider) && (
        <Badge color="green">
          {runsHere(provider) ? t.templates.runsHere : t.templates.runsOnAws}
        </Badge>
      )}
      {it.validation_status !== 'invalid' && !usable(it, provider) && (
        <Badge color="grey">{t.templates.runsElsewhere}</Badge>
      )}
      {it.services.map((service) => (
        <Badge key={service} color="blue">
          {service}
        </Badge>
      ))}
      {it.source === 'user' && <Badge>{t.templates.yours}</Badge>}
    </SpaceBetween>
  );
}
