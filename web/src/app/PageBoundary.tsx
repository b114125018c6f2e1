import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import { Component, type ReactNode } from 'react';

import { t } from '../strings';

interface Props {
  readonly children: ReactNode;
}

interface Failed {
  readonly error: Error | null;
}

/** Where a page breaks, or its file is that of an older build, the rest stays usable. */
export class PageBoundary extends Component<Props, Failed> {
  override state: Failed = { error: null };

  static getDerivedStateFromError(error: Error): Failed {
    return { error };
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (error === null) return this.props.children;
    const outdated = /dynamically imported module|module script/i.test(error.message);
    return (
      <Alert
        type="error"
        header={outdated ? t.errors.outdated : t.errors.broken}
        action={<Button onClick={() => location.reload()}>{t.reload}</Button>}
      >
        {outdated ? t.errors.outdatedWhy : error.message}
      </Alert>
    );
  }
}
