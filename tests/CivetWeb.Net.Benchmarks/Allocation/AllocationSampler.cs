using System;
using System.Collections.Concurrent;
using System.Diagnostics.Tracing;
using System.Linq;

namespace CivetWeb.Net.Benchmarks.Allocation;

/// <summary>The types that the runtime says it allocates: one sample for every 100 KB or so.</summary>
internal sealed class AllocationSampler : EventListener
{
    private readonly ConcurrentDictionary<string, int> _samples = new(StringComparer.Ordinal);
    private EventSource? _runtime;

    public bool IsOn
    {
        set
        {
            const EventKeywords Gc = (EventKeywords)1;
            if (_runtime is null)
            {
                return;
            }

            if (value)
            {
                EnableEvents(_runtime, EventLevel.Verbose, Gc);
            }
            else
            {
                DisableEvents(_runtime);
            }
        }
    }

    /// <summary>The most frequent ones.</summary>
    public string Types => _samples.IsEmpty
        ? "none"
        : string.Join(", ", _samples.OrderByDescending(s => s.Value).Take(6).Select(s => $"{s.Key} {s.Value}"));

    protected override void OnEventSourceCreated(EventSource eventSource)
    {
        if (eventSource.Name == "Microsoft-Windows-DotNETRuntime")
        {
            _runtime = eventSource;
        }
    }

    protected override void OnEventWritten(EventWrittenEventArgs eventData)
    {
        if (eventData.EventName?.StartsWith("GCAllocationTick", StringComparison.Ordinal) == true
            && eventData.PayloadNames?.IndexOf("TypeName") is >= 0 and int index)
        {
            _samples.AddOrUpdate((string?)eventData.Payload?[index] ?? "?", 1, static (_, n) => n + 1);
        }
    }
}
