using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Linq;
using System.Reflection;
using System.Threading.Tasks;
using Microsoft.Extensions.Logging;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>
/// Keeps what is logged, with level and event id. A line of level Warning or above that the test has neither looked at
/// (<see cref="Errors"/>) nor announced (<see cref="LogsAttribute"/>) fails it at the end of its <see cref="RunningServer"/>.
/// </summary>
internal sealed class LogCollector : ILoggerFactory, ILogger
{
    private readonly ConcurrentDictionary<(LogLevel Level, EventId Event, string Message, Exception? Exception), bool> _seen = new();

    public ConcurrentQueue<(LogLevel Level, EventId Event, string Message, Exception? Exception)> Entries { get; } = new();

    /// <summary>The errors among them, which the test judges itself.</summary>
    public (LogLevel Level, EventId Event, string Message, Exception? Exception)[] Errors
    {
        get
        {
            (LogLevel Level, EventId Event, string Message, Exception? Exception)[] errors = [.. Entries.Where(e => e.Level >= LogLevel.Error)];
            foreach ((LogLevel, EventId, string, Exception?) error in errors)
            {
                _seen[error] = true;
            }

            return errors;
        }
    }

    /// <summary>What is left of level Warning and above, without these events.</summary>
    public string[] Unexpected(IEnumerable<int> expected) =>
        [.. Entries.Where(e => e.Level >= LogLevel.Warning && !_seen.ContainsKey(e) && !expected.Contains(e.Event.Id)).Select(e => $"{e.Event.Id}: {e.Message} {e.Exception}")];

    /// <summary>The only error, once it is there: a client may see the end of its connection before the log has the reason.</summary>
    public async Task<(LogLevel Level, EventId Event, string Message, Exception? Exception)> ErrorAsync()
    {
        await Eventually.IsTrueAsync(() => Errors.Length > 0, "an error in the log");
        return Errors.Single();
    }

    public ILogger CreateLogger(string categoryName) => this;

    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(
        LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        Entries.Enqueue((logLevel, eventId, formatter(state, exception), exception));

    public void Dispose()
    {
    }
}

/// <summary>The events of level Warning and above that a test, or the tests of a class, bring about on purpose.</summary>
[AttributeUsage(AttributeTargets.Method | AttributeTargets.Class)]
internal sealed class LogsAttribute(params int[] events) : Attribute
{
    public int[] Events => events;

    /// <summary>Those of the test that runs.</summary>
    public static int[] OfCurrentTest()
    {
        TestContext.TestAdapter test = TestContext.CurrentContext.Test;
        Type? type = test.ClassName is null ? null : typeof(LogsAttribute).Assembly.GetType(test.ClassName);
        if (type is null)
        {
            return [];
        }

        MemberInfo[] members = [type, .. type.GetMethods().Where(m => m.Name == test.MethodName)];
        return [.. members.SelectMany(m => m.GetCustomAttributes<LogsAttribute>(false)).SelectMany(a => a.Events)];
    }
}
